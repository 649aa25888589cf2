import { useEffect, useRef, useState } from "preact/hooks";
import { ask } from "./api.js";
import { explained } from "./errors.js";
import { bodyOf } from "./recipes.js";

const KINDS = ["say", "part", "whole", "restore"];
const TASKS = ["auto", "denoise", "deblur", "deblock", "upscale", "colorize"];
const PLACES = {
  centre: [0.25, 0.25, 0.5, 0.5], left: [0, 0, 0.5, 1], right: [0.5, 0, 0.5, 1],
  top: [0, 0, 1, 0.5], bottom: [0, 0.5, 1, 0.5],
};

function blobOf(base64) {
  return new Blob([Uint8Array.from(atob(base64), (sign) => sign.charCodeAt(0))], { type: "image/png" });
}

/** The file of a picture, with the record that says how it was drawn. */
async function fileOf(picture, apiKey) {
  if (picture.made) return blobOf(picture.image);
  const found = await ask("v1/images/generations", apiKey, bodyOf(picture));
  return blobOf(found.data[0].b64_json);
}

/** A black picture of the size of another, white in a box in shares of its sides. */
function maskOf(image, [x, y, width, height]) {
  const canvas = document.createElement("canvas");
  canvas.width = image.naturalWidth;
  canvas.height = image.naturalHeight;
  const brush = canvas.getContext("2d");
  brush.fillRect(0, 0, canvas.width, canvas.height);
  brush.fillStyle = "#fff";
  brush.fillRect(
    Math.round(x * canvas.width), Math.round(y * canvas.height),
    Math.max(1, Math.round(width * canvas.width)), Math.max(1, Math.round(height * canvas.height)));
  return new Promise((resolve) => canvas.toBlob(resolve, "image/png"));
}

/** The picture, on which a box is drawn with the pointer. */
function Canvas({ source, alt, image, box, onBox }) {
  const start = useRef(null);
  const at = (event) => {
    const frame = image.current.getBoundingClientRect();
    const share = (value, low, length) => Math.min(1, Math.max(0, (value - low) / length));
    return [share(event.clientX, frame.left, frame.width), share(event.clientY, frame.top, frame.height)];
  };
  const move = (event) => {
    if (!start.current) return;
    const [x, y] = at(event);
    const [left, top] = start.current;
    const found = [Math.min(x, left), Math.min(y, top), Math.abs(x - left), Math.abs(y - top)];
    if (found[2] > 0.02 && found[3] > 0.02) onBox(found);
  };
  return (
    <div class={`canvas${onBox ? " drawable" : ""}`}
      onPointerDown={(event) => {
        if (!onBox) return;
        event.currentTarget.setPointerCapture(event.pointerId);
        start.current = at(event);
      }}
      onPointerMove={move} onPointerUp={() => { start.current = null; }}>
      <img ref={image} src={source} alt={alt} draggable={false} />
      {onBox && (
        <span class="box" style={{
          left: `${box[0] * 100}%`, top: `${box[1] * 100}%`, width: `${box[2] * 100}%`, height: `${box[3] * 100}%`,
        }} />
      )}
    </div>
  );
}

/** Changes a picture: in words, in a part, as a whole, or by restoring it. */
export function Change({ picture, own, words, model, apiKey, onChanged, onClose }) {
  const [kind, setKind] = useState(own ? "part" : "say");
  const [text, setText] = useState("");
  const [box, setBox] = useState(PLACES.centre);
  const [strength, setStrength] = useState(0.5);
  const [task, setTask] = useState("auto");
  const [busy, setBusy] = useState(false);
  const [wrong, setWrong] = useState(null);
  const [said, setSaid] = useState("");
  const [before, setBefore] = useState([]); // the picture as it was, the newest last
  const [source, setSource] = useState("");
  const image = useRef(null);
  const field = useRef(null);
  useEffect(() => field.current?.focus(), []);
  const mine = useRef(picture);
  const change = (made) => {
    mine.current = made;
    onChanged(made);
  };
  const able = model?.capabilities ?? [];
  const kinds = KINDS.filter((each) => ({
    say: true, part: able.includes("inpaint"), whole: able.includes("restyle"), restore: true,
  })[each]);

  useEffect(() => {
    if (picture !== mine.current) {
      mine.current = picture;
      setBefore([]);
      setSaid("");
    }
    setWrong(null);
    const url = own ? URL.createObjectURL(own) : `data:image/png;base64,${picture.image}`;
    setSource(url);
    return () => own && URL.revokeObjectURL(url);
  }, [picture, own]);

  const apply = async (event) => {
    event.preventDefault();
    setBusy(true);
    setWrong(null);
    setSaid("");
    try {
      const form = new FormData();
      form.append("image", own ?? await fileOf(picture, apiKey), "picture.png");
      let path = "v1/images/edits";
      if (kind === "restore") {
        path = "v1/images/restorations";
        form.append("task", task);
      } else {
        form.append("prompt", text);
        if (model) form.append("model", model.id);
        if (kind === "say") form.append("say", "true");
        if (kind === "whole") form.append("strength", strength);
        if (kind === "part") form.append("mask", await maskOf(image.current, box), "mask.png");
      }
      const found = await ask(path, apiKey, form);
      const row = found.data[0];
      const [width] = found.size.split("x").map(Number);
      if (picture) setBefore([...before, picture]);
      setSaid(row.removed ? words.restored(row) : "");
      change({
        ...picture, refined: undefined, trace: undefined, score: undefined, prompt: row.revised_prompt ?? picture?.prompt ?? text, seed: row.seed ?? picture?.seed ?? 0,
        style: row.style ?? picture?.style, drawn_from: row.drawn_from, sources: row.sources, flags: row.flags,
        image: row.b64_json, size: width, made: true, id_kept: row.id, thumb: undefined, time: Date.now(),
      });
    } catch (error) {
      setWrong(error);
    }
    setBusy(false);
  };
  const undo = () => {
    setSaid("");
    change(before.at(-1));
    setBefore(before.slice(0, -1));
  };
  const asks = kind !== "restore";
  return (
    <form class="change" aria-label={words.change} aria-busy={busy} onSubmit={apply}>
      <Canvas source={source} alt={words.toChange} image={image} box={box}
        onBox={kind === "part" ? setBox : null} />
      <div class="how">
        <fieldset class="field">
          <legend>{words.change}</legend>
          {kinds.map((each) => (
            <label key={each} class="count">
              <input type="radio" name="kind" checked={kind === each}
                onChange={() => { setKind(each); setText(""); }} />
              {words.changes[each]}
            </label>
          ))}
        </fieldset>
        {kind === "part" && (
          <label class="field">
            <span>{words.where}</span>
            <select value={Object.keys(PLACES).find((each) => PLACES[each] === box) ?? ""}
              onChange={(event) => setBox(PLACES[event.currentTarget.value])}>
              <option value="" disabled>{words.drawnBox}</option>
              {Object.keys(PLACES).map((each) => <option key={each} value={each}>{words.places[each]}</option>)}
            </select>
          </label>
        )}
        {kind === "whole" && (
          <label class="field">
            <span>{words.strength} <b>{strength}</b></span>
            <input type="range" min="0" max="1" step="0.1" value={strength}
              onInput={(event) => setStrength(Number(event.currentTarget.value))} />
          </label>
        )}
        {kind === "restore" && (
          <label class="field">
            <span>{words.task}</span>
            <select value={task} onChange={(event) => setTask(event.currentTarget.value)}>
              {TASKS.map((each) => <option key={each} value={each}>{words.tasks[each]}</option>)}
            </select>
          </label>
        )}
        {asks && (
          <label class="field">
            <span>{words.asked[kind]}</span>
            <input ref={field} type="text" dir="auto" required maxlength={2000} value={text} placeholder={words.asking[kind]}
              onInput={(event) => setText(event.currentTarget.value)} />
          </label>
        )}
        <div class="group">
          <button class="main" disabled={busy}>{busy ? words.drawing : words.apply}</button>
          <button type="button" onClick={onClose}>{words.close}</button>
          {before.length > 0 && <button type="button" disabled={busy} onClick={undo}>{words.undo}</button>}
        </div>
        {said && <p class="outcome" role="status">{said}</p>}
        {wrong && <p class="wrong" role="alert">{explained(wrong, words)}</p>}
      </div>
    </form>
  );
}
