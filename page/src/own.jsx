import { useEffect, useRef, useState } from "preact/hooks";
import { ask } from "./api.js";
import { explained } from "./errors.js";

/** A picture of the user's: read into words, or drawn otherwise. */
export function Own({ words, language, apiKey, onWords, onPictures, onLike, onChange, onLeft }) {
  const [file, setFile] = useState(null);
  const [said, setSaid] = useState([]);
  const [busy, setBusy] = useState(false);
  const [wrong, setWrong] = useState(null);
  const field = useRef(null);
  const send = async (path, more) => {
    const form = new FormData();
    form.append("image", file);
    for (const [name, value] of Object.entries(more)) form.append(name, value);
    setBusy(true);
    try {
      setWrong(null);
      return await ask(path, apiKey, form);
    } catch (error) {
      setWrong(error);
      return null;
    } finally {
      setBusy(false);
    }
  };
  useEffect(() => {
    setSaid([]);
    setWrong(null);
    if (!file) return;
    send("v1/captions", { n: 3, language }).then((found) =>
      setSaid(found ? found.data[0].captions.map((each) => each.text) : []));
  }, [file]);
  useEffect(() => {
    const over = (event) => event.preventDefault();
    const drop = (event) => {
      event.preventDefault();
      if (event.dataTransfer.files[0]) setFile(event.dataTransfer.files[0]);
    };
    const paste = (event) => {
      const found = [...event.clipboardData.files].find((each) => each.type.startsWith("image/"));
      if (found) setFile(found);
    };
    addEventListener("dragover", over);
    addEventListener("drop", drop);
    addEventListener("paste", paste);
    return () => {
      removeEventListener("dragover", over);
      removeEventListener("drop", drop);
      removeEventListener("paste", paste);
    };
  }, []);
  const vary = async () => {
    const found = await send("v1/images/variations", { n: 4 });
    if (found) onPictures(found.data, said[0] ?? "");
  };
  const leave = () => {
    field.current.value = "";
    setFile(null);
    onLeft();
  };
  return (
    <div class="own" aria-busy={busy}>
      <label class="file">{file ? file.name : words.fromPicture}
        <input type="file" accept="image/*" aria-label={words.fromPicture} ref={field}
          onChange={(event) => setFile(event.currentTarget.files[0] ?? null)} />
      </label>
      {file && <button class="plain" aria-label={words.leave} title={words.leave} onClick={leave}>×</button>}
      {said.map((each) => <button key={each} class="example" onClick={() => onWords(each)}>{each}</button>)}
      {file && <button disabled={busy} onClick={vary}>{words.vary}</button>}
      {file && <button onClick={() => onChange(file)}>{words.change}</button>}
      {file && onLike && <button onClick={() => onLike(file)}>{words.findLike}</button>}
      {busy && <span role="status">{words.working}</span>}
      {wrong && <span class="wrong" role="alert">{explained(wrong, words)}</span>}
    </div>
  );
}
