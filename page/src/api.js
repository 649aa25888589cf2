// Requests to the server, with the key if it asks for one.

export function headersOf(apiKey) {
  return apiKey ? { authorization: `Bearer ${apiKey}` } : {};
}

/**
 * A request to the server, which a signal can end; the answer, or its error as an exception.
 *
 * Addresses are relative to the page's, which a proxy may serve below a path of its own.
 */
export async function ask(path, apiKey, body, method = "POST", signal = undefined) {
  const headers = headersOf(apiKey);
  const form = body instanceof FormData;
  if (body && !form) headers["content-type"] = "application/json";
  const sent = body && !form ? JSON.stringify(body) : body;
  const answer = await fetch(path, { method, headers, body: sent, signal }).catch((error) => {
    throw Object.assign(error, { code: "unreachable" });
  });
  const found = await answer.json().catch(() => ({ // of a proxy before the server
    error: { message: `${answer.status} ${answer.statusText || "from something before the server"}` },
  }));
  if (!answer.ok) throw Object.assign(new Error(found.error.message), found.error, { status: answer.status });
  return found;
}
