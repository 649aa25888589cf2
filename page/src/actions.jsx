import { useEffect, useRef, useState } from "preact/hooks";
import { ask } from "./api.js";
import { explained } from "./errors.js";
import { asCommand, asCurl, asPython, bodyOf } from "./recipes.js";
import { zipOf } from "./zip.js";

function Thumb({ down }) {
  return (
    <svg width="16" height="16" viewBox="0 0 16 16" aria-hidden="true" fill="none" stroke="currentColor"
      stroke-width="1.4" stroke-linejoin="round" transform={down ? "rotate(180)" : undefined}>
      <path d="M2 7h2.5v6.5H2zM4.5 7.5 7.2 2c1.2 0 1.9.8 1.7 2L8.5 6h4c1 0 1.6.9 1.4 1.8l-1 4.4c-.2.8-.8 1.3-1.6 1.3H4.5" />
    </svg>
  );
}

/** How long something takes already; not read aloud each second. */
function Seconds() {
  const [count, setCount] = useState(0);
  useEffect(() => {
    const tick = setInterval(() => setCount((before) => before + 1), 1000);
    return () => clearInterval(tick);
  }, []);
  return <span class="said" aria-hidden="true">{count} s</span>;
}

/** A file's name that says what it shows; vowel signs of Indic scripts and of Arabic are marks, \p{M}. */
function fileName(picture, ending) {
  return `${picture.prompt.slice(0, 40).replaceAll(/[^\p{L}\p{M}\p{N}]+/gu, "-")}-${picture.seed}.${ending}`;
}

function bytesOf(base64) {
  return Uint8Array.from(atob(base64), (sign) => sign.charCodeAt(0));
}

function download(blob, name) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(blob);
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10000);
}

/** What can be done with a picture. */
export function Actions({
  picture, pictures, words, apiKey, gallery, changing, onChange, explaining, onExplain, onRefined, style, onKept,
}) {
  const [said, say] = useState("");
  const [refining, setRefining] = useState(false);
  const left = useRef(null);
  // The server ends what nobody looks at; the same picture may come as another object.
  useEffect(() => () => { left.current?.abort(); say(""); }, [picture.prompt, picture.seed, picture.style]);
  const refine = async () => {
    const mine = new AbortController();
    left.current = mine;
    setRefining(true);
    say(words.refining);
    try {
      const body = bodyOf(picture, { style: style || undefined, variety: undefined, page: true });
      const found = await ask("v1/refinements", apiKey, body, "POST", mine.signal);
      const { attempts, best, page } = found;
      const row = found.data[0];
      onRefined({
        ...picture, ...row, image: row.b64_json, style: row.style ?? picture.style, made: true,
        prompt: row.revised_prompt, refined: { attempts, best }, trace: page, score: undefined,
        id_kept: found.id, thumb: undefined, time: Date.now(),
      });
      say("");
    } catch (error) {
      say(mine.signal.aborted ? "" : explained(error, words));
    }
    setRefining(false);
  };
  const copy = async (text) => {
    try {
      await navigator.clipboard.writeText(text);
      say(words.copied);
    } catch {
      say(words.notCopied);
    }
    setTimeout(() => say(""), 1500);
  };
  const fetched = async (more, ending) => {
    try {
      download(new Blob([await drawn(picture, apiKey, more)]), fileName(picture, ending));
      onKept();
    } catch (error) {
      say(explained(error, words));
    }
  };
  const fetchedAll = async (more) => {
    say(words.working);
    try {
      const files = new Map();
      for (const each of pictures) files.set(fileName(each, "png"), await drawn(each, apiKey, each.made ? {} : more));
      const named = [...files].map(([name, bytes]) => ({ name, bytes }));
      download(zipOf(named), fileName(picture, "zip"));
      say("");
      onKept();
    } catch (error) {
      say(explained(error, words));
    }
  };
  return (
    <div class="actions">
      <div class="group">
        <button id="do-change" aria-pressed={changing} onClick={onChange}>{words.change}</button>
        {!picture.made && (refining
          ? <button onClick={() => left.current.abort()}>{words.stop}</button>
          : <button onClick={refine}>{words.refine}</button>)}
        {onExplain && <button id="do-explain" aria-pressed={explaining} onClick={onExplain}>{words.explain}</button>}
      </div>
      {gallery && canBeKept(picture) && (
        <Judging picture={picture} pictures={pictures} words={words} apiKey={apiKey} say={say} onKept={onKept} />
      )}
      <div class="group" role="group" aria-label={words.download}>
        <span>{words.download}</span>
        <button onClick={() => fetched({}, "png")}>PNG</button>
        {!picture.made && <button onClick={() => fetched({ output_format: "svg" }, "svg")}>SVG</button>}
        {!picture.made && (
          <button onClick={() => fetched({ background: "transparent" }, "png")}>{words.transparent}</button>
        )}
        {picture.trace && (
          <button onClick={() => download(new Blob([picture.trace], { type: "text/html" }), fileName(picture, "html"))}>
            {words.trace}
          </button>
        )}
      </div>
      <div class="group" role="group" aria-label={words.all}>
        <span>{words.all}</span>
        {pictures.length > 1 && <button onClick={() => fetchedAll({})}>ZIP</button>}
        {pictures.length > 1 && pictures.some((each) => !each.made) && (
          <button onClick={() => fetchedAll({ background: "transparent" })}>{words.transparentAll}</button>
        )}
        <button onClick={() => print()}>{words.print}</button>
      </div>
      {!picture.made && (
        <div class="group" role="group" aria-label={words.copy}>
          <span>{words.copy}</span>
          <button onClick={() => copy(asCommand(picture))}>{words.command}</button>
          <button onClick={() => copy(asPython(picture))}>Python</button>
          <button onClick={() => copy(asCurl(picture))}>curl</button>
        </div>
      )}
      <span class="said" role="status">{said}</span>
      {refining && <Seconds />}
    </div>
  );
}

/** The bytes of a picture's file, drawn again with its record where words draw it. */
async function drawn(picture, apiKey, more) {
  if (picture.made) return bytesOf(picture.image);
  return bytesOf((await ask("v1/images/generations", apiKey, bodyOf(picture, more))).data[0].b64_json);
}

/** Whether the server's gallery has a picture, or would have it if it were drawn again. */
function canBeKept(picture) {
  return Boolean(picture.id_kept) || !picture.made;
}

/** The picture in the server's gallery, where it is kept from the first judgement on. */
async function keptId(picture, apiKey) {
  if (!picture.id_kept) {
    const found = await ask("v1/images/generations", apiKey, bodyOf(picture));
    picture.id_kept = found.data[0].id;
  }
  return picture.id_kept;
}

function Judging({ picture, pictures, words, apiKey, say, onKept }) {
  const [thumb, setThumb] = useState(picture.thumb ?? "none");
  const [best, setBest] = useState(false);
  useEffect(() => { setThumb(picture.thumb ?? "none"); setBest(false); }, [picture]);
  const others = pictures.filter((each) => each !== picture && canBeKept(each));
  const judge = async (work) => {
    try {
      await work(await keptId(picture, apiKey));
      onKept();
    } catch (error) {
      say(explained(error, words));
    }
  };
  const vote = (wanted) => judge(async (id) => {
    const now = thumb === wanted ? "none" : wanted;
    await ask(`v1/gallery/${id}/feedback`, apiKey, { thumb: now });
    picture.thumb = now;
    setThumb(now);
  });
  const prefer = () => judge(async (id) => {
    for (const other of others) {
      await ask(`v1/gallery/${id}/feedback`, apiKey, { better_than: await keptId(other, apiKey) });
    }
    setBest(true);
  });
  return (
    <div class="group votes" role="group" aria-label={words.judge}>
      <button aria-pressed={thumb === "up"} aria-label={words.good} title={words.good}
        onClick={() => vote("up")}><Thumb /></button>
      <button aria-pressed={thumb === "down"} aria-label={words.bad} title={words.bad}
        onClick={() => vote("down")}><Thumb down /></button>
      {others.length > 0 && (
        <button aria-pressed={best} onClick={prefer}>{words.best}</button>
      )}
      <button onClick={() => judge(async () => say(words.isKept))}>{words.keep}</button>
    </div>
  );
}
