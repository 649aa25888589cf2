// Values that this browser remembers.

import { useEffect, useState } from "preact/hooks";

function saved(name, otherwise) {
  try {
    return JSON.parse(localStorage.getItem(`limner-${name}`)) ?? otherwise;
  } catch {
    return otherwise;
  }
}

export function useSaved(name, otherwise) {
  const [value, set] = useState(() => saved(name, otherwise));
  useEffect(() => localStorage.setItem(`limner-${name}`, JSON.stringify(value)), [value]);
  return [value, set];
}
