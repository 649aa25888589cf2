// The pictures of this browser: kept in it, and there again after a reload.

const STORE = "pictures";
const MOST = 120;

function opened() {
  return new Promise((resolve, reject) => {
    const request = indexedDB.open("limner", 1);
    request.onupgradeneeded = () => request.result.createObjectStore(STORE, { keyPath: "time" });
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error);
  });
}

async function within(mode, work) {
  const database = await opened();
  return new Promise((resolve, reject) => {
    const transaction = database.transaction(STORE, mode);
    const result = work(transaction.objectStore(STORE));
    transaction.oncomplete = () => resolve(result.result);
    transaction.onerror = () => reject(transaction.error);
  });
}

/** All kept pictures, the newest first; none where the browser keeps nothing. */
export async function kept() {
  try {
    return (await within("readonly", (store) => store.getAll())).reverse();
  } catch {
    return [];
  }
}

/** Keep a picture; the oldest beyond a number go. */
export async function keep(picture) {
  const { trace, ...kept } = picture; // a page of many pictures
  try {
    await within("readwrite", (store) => {
      const keys = store.getAllKeys();
      keys.onsuccess = () => {
        for (const key of keys.result.slice(0, Math.max(0, keys.result.length - MOST + 1))) {
          store.delete(key);
        }
      };
      return store.put(kept);
    });
  } catch {
    /* a private window keeps nothing */
  }
}

export async function forget() {
  try {
    await within("readwrite", (store) => store.clear());
  } catch {
    /* nothing was kept */
  }
}
