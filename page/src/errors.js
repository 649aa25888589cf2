// What goes wrong, in the page's language.

/**
 * An error of the server's as a sentence in the page's language; in the server's words where the page has none for its code.
 *
 * A sentence that ends in a colon is followed by the server's own.
 */
export function explained(error, words) {
  const said = words.errors[error.code];
  const sentence = typeof said === "function" ? said(error) : said;
  if (!sentence) return error.message;
  return /[:：]$/.test(sentence) ? `${sentence}${words.gap}${error.message}` : sentence;
}
