import { useEffect, useRef, useState } from "preact/hooks";
import { ask, headersOf } from "./api.js";
import { explained } from "./errors.js";

const PAUSE = 250; // milliseconds without a key before the gallery is searched
const PAGE = 24;
// Those that have a control here, and those that only a picture that was changed has.
const OWN_FIELDS = ["style", "size", "variety", "steps", "guidance", "transparent", "reference", "strength"];

/** Whether a kept picture is not what its words alone draw: a changed one, or an animation. */
function isMade({ record, format }) {
  const { settings = {}, edits = [], inpainted, made_from } = record;
  return format === "gif" || Boolean(edits.length || inpainted || made_from || settings.reference);
}

async function base64Of(blob) {
  const reader = new FileReader();
  await new Promise((resolve, reject) => {
    reader.onload = resolve;
    reader.onerror = () => reject(reader.error);
    reader.readAsDataURL(blob);
  });
  return reader.result.slice(reader.result.indexOf(",") + 1);
}

/** A kept picture as the page draws it: drawn again, it has the same bits. */
export function asDrawn(kept) {
  const { settings = {}, drawn_from = [] } = kept.record;
  const others = Object.fromEntries(Object.entries(settings).filter(([name]) => !OWN_FIELDS.includes(name)));
  return {
    prompt: kept.prompt, seed: kept.seed, style: settings.style, styled: true,
    size: settings.size ?? Math.min(kept.width, kept.height), variety: settings.variety ?? 0,
    steps: settings.steps, guidance: settings.guidance, drawn_from, sources: kept.sources,
    flags: kept.flags, others: settings.transparent ? { ...others, background: "transparent" } : others,
    hash: kept.model, id_kept: kept.id, thumb: { 1: "up", [-1]: "down" }[kept.thumb] ?? "none",
  };
}

/** The file of a kept picture, which is fetched with the key where there is one. */
function KeptImage({ kept, apiKey, alt }) {
  const path = `v1/gallery/${kept.id}/file`;
  const [source, setSource] = useState(apiKey ? undefined : path);
  useEffect(() => {
    if (!apiKey) return undefined;
    let made;
    let gone = false;
    fetch(path, { headers: headersOf(apiKey) }).then((answer) => (answer.ok ? answer.blob() : null)).then((blob) => {
      if (!blob || gone) return;
      made = URL.createObjectURL(blob);
      setSource(made);
    });
    return () => { gone = true; if (made) URL.revokeObjectURL(made); };
  }, [kept.id, apiKey]);
  return <img loading="lazy" alt={alt} src={source} />;
}

/**
 * The pictures that the server keeps for this user; nothing where it has no gallery.
 *
 * @param version changes when a picture was kept; @param like a file that pictures are to be like
 */
export function Gallery({ words, apiKey, version, like, onLikeDone, onOpen, onVary, onKnown }) {
  const [query, setQuery] = useState("");
  const [found, setFound] = useState([]);
  const [next, setNext] = useState(null);
  const [there, setThere] = useState(false);
  const [wrong, setWrong] = useState(null);
  const newest = useRef(0);
  const heading = useRef(null);

  const search = async (cursor) => {
    const number = ++newest.current;
    try {
      const asked = new URLSearchParams({ query, limit: PAGE, ...(cursor ? { cursor } : {}) });
      const form = new FormData();
      if (like) form.append("image", like);
      const answer = like
        ? await ask("v1/gallery/search", apiKey, form)
        : await ask(`v1/gallery?${asked}`, apiKey, undefined, "GET");
      if (number !== newest.current) return;
      setFound((before) => (cursor ? [...before, ...answer.data] : answer.data));
      setNext(answer.next ?? null);
      setThere(true);
      onKnown(true);
      setWrong(null);
      if (like) heading.current?.scrollIntoView({ block: "nearest" });
    } catch (error) {
      if (error.status === 404 || error.status === 401) setThere(false);
      else setWrong(error);
    }
  };
  useEffect(() => {
    const wait = setTimeout(search, PAUSE);
    return () => clearTimeout(wait);
  }, [query, apiKey, version, like]);

  /** What was changed is shown as it is kept; the rest is drawn again. */
  const open = async (kept) => {
    if (!isMade(kept)) return onOpen(asDrawn(kept));
    try {
      const answer = await fetch(`v1/gallery/${kept.id}/file`, { headers: headersOf(apiKey) });
      if (!answer.ok) throw (await answer.json()).error;
      const image = await base64Of(await answer.blob());
      return onOpen({ ...asDrawn(kept), image, made: true, time: Date.now() });
    } catch (error) {
      return setWrong(error);
    }
  };
  const remove = async (kept) => {
    if (!confirm(`${words.sure} ${kept.prompt}`)) return;
    try {
      await ask(`v1/gallery/${kept.id}`, apiKey, undefined, "DELETE");
      setFound((before) => before.filter((each) => each.id !== kept.id));
    } catch (error) {
      setWrong(error);
    }
  };
  if (!there) return null;
  return (
    <section class="history kept" aria-label={words.gallery}>
      <h2 ref={heading}>{words.gallery}</h2>
      <div class="search">
        <label>
          <span class="hidden">{words.searchGallery}</span>
          <input type="search" dir="auto" placeholder={words.searchGallery} value={query} maxlength={500}
            onInput={(event) => { onLikeDone(); setQuery(event.currentTarget.value); }} />
        </label>
        {like && <button class="example" onClick={onLikeDone}>{words.likeYours} ×</button>}
      </div>
      {wrong && <p class="wrong" role="alert">{explained(wrong, words)}</p>}
      {!found.length && <p class="none" role="status">{query || like ? words.noneFound : words.noneKept}</p>}
      <ul>
        {found.map((each) => (
          <li key={each.id}>
            <button class="open" title={`${words.open}: ${each.prompt}`} onClick={() => open(each)}>
              <KeptImage kept={each} apiKey={apiKey} alt={`${each.prompt} (${words.seed} ${each.seed})`} />
            </button>
            <span class="beneath">
              {each.flags?.length > 0 && <span class="flag" role="img" aria-label={words.flagged} title={words.flagged}>⚑</span>}
              <button aria-label={`${words.varyKept}: ${each.prompt}`} title={words.varyKept}
                onClick={() => onVary(asDrawn(each))}>↻</button>
              <button aria-label={`${words.remove}: ${each.prompt}`} title={words.remove}
                onClick={() => remove(each)}>×</button>
            </span>
          </li>
        ))}
      </ul>
      {next && <button class="more" onClick={() => search(next)}>{words.more}</button>}
    </section>
  );
}
