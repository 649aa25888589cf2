import { useRef } from "preact/hooks";

/** Asks for the key of a server that has keys; says so where one was given that it does not know. */
export function KeyPrompt({ words, given, onKey }) {
  const field = useRef(null);
  return (
    <form class="key" onSubmit={(event) => { event.preventDefault(); onKey(field.current.value); }}>
      <label>{words.key} <input ref={field} type="password" autocomplete="off" required /></label>
      <button>{words.enter}</button>
      {given && <span class="wrong" role="alert">{words.wrongKey}</span>}
    </form>
  );
}
