import { render } from "preact";
import { useEffect, useMemo, useRef, useState } from "preact/hooks";
import { ask } from "./api.js";
import { Change } from "./change.jsx";
import { Explain } from "./explain.jsx";
import { Gallery } from "./gallery.jsx";
import { forget, keep, kept } from "./history.js";
import { Live } from "./live.js";
import { asCommand, asCurl, asPython, bodyOf } from "./recipes.js";
import { preferred, WORDS } from "./words.js";

const PAUSE = 40; // milliseconds without a key before a request is sent
const LONG_PAUSE = 700; // where a language model may be asked first
const COUNTS = [1, 4, 9];
const SIZES = [256, 512, 1024];

function randomSeed() {
  return crypto.getRandomValues(new Uint32Array(1))[0];
}

function saved(name, otherwise) {
  try {
    return JSON.parse(localStorage.getItem(`limner-${name}`)) ?? otherwise;
  } catch {
    return otherwise;
  }
}

function useSaved(name, otherwise) {
  const [value, set] = useState(() => saved(name, otherwise));
  useEffect(() => localStorage.setItem(`limner-${name}`, JSON.stringify(value)), [value]);
  return [value, set];
}

function Choice({ label, value, onChange, children }) {
  return (
    <label class="field">
      <span>{label}</span>
      <select value={value ?? ""} onChange={(event) => onChange(event.currentTarget.value)}>
        {children}
      </select>
    </label>
  );
}

function Slider({ label, value, onChange, ...range }) {
  return (
    <label class="field">
      <span>
        {label} <b>{value}</b>
      </span>
      <input type="range" value={value} {...range}
        onInput={(event) => onChange(Number(event.currentTarget.value))} />
    </label>
  );
}

function Lock({ closed }) {
  return (
    <svg width="16" height="16" viewBox="0 0 16 16" aria-hidden="true" fill="none" stroke="currentColor"
      stroke-width="1.6" stroke-linecap="round">
      <rect x="3" y="7" width="10" height="7" rx="1.5" fill={closed ? "currentColor" : "none"} />
      <path d={closed ? "M5 7V5a3 3 0 0 1 6 0v2" : "M5 7V5a3 3 0 0 1 5.8-1"} />
    </svg>
  );
}

function Thumb({ down }) {
  return (
    <svg width="16" height="16" viewBox="0 0 16 16" aria-hidden="true" fill="none" stroke="currentColor"
      stroke-width="1.4" stroke-linejoin="round" transform={down ? "rotate(180)" : undefined}>
      <path d="M2 7h2.5v6.5H2zM4.5 7.5 7.2 2c1.2 0 1.9.8 1.7 2L8.5 6h4c1 0 1.6.9 1.4 1.8l-1 4.4c-.2.8-.8 1.3-1.6 1.3H4.5" />
    </svg>
  );
}

function Notes({ picture, words }) {
  const others = (picture?.drawn_from ?? []).filter((each) => each.drawn !== each.phrase && !each.known);
  const flags = [...new Set((picture?.flags ?? []).map((each) => each.category))];
  const rewritten = picture?.rewritten;
  if (!others.length && !flags.length && !rewritten) return null;
  return (
    <p class="notes" role="status">
      {flags.length > 0 && (
        <span class="flag">⚑ {words.flagged}: {flags.map((each) => words.categories[each] ?? each).join(", ")}</span>
      )}
      {rewritten && (
        <span>
          <q>{rewritten.given}</q> {words.rewrittenAs} <strong>{rewritten.prompt}</strong> ({rewritten.by})
        </span>
      )}
      {others.map((each) => (
        <span key={each.phrase}>
          {each.similarity < 0.55 && `${words.unsure} `}
          <q>{each.phrase}</q> {words.drawnAs} <strong>{each.drawn}</strong>
        </span>
      ))}
    </p>
  );
}

/** The sets of training drawings that a picture was drawn from, their licences, what is a copy. */
function Sources({ picture, words }) {
  const lines = new Map();
  for (const { drawn, set, licence, copied } of picture.sources ?? []) {
    const line = lines.get(`${drawn} ${set}`) ?? { drawn, set, licence, copied: false };
    lines.set(`${drawn} ${set}`, { ...line, copied: line.copied || copied });
  }
  if (!lines.size) return null;
  return (
    <details class="sources">
      <summary>{words.sources}{[...lines.values()].some((each) => each.copied) && ` · ${words.isCopy}`}</summary>
      <ul>
        {[...lines.values()].map(({ drawn, set, licence, copied }) => (
          <li key={`${drawn} ${set}`}>
            {drawn}: {set ?? "?"}{licence && `, ${licence}`}{copied && <b> · {words.isCopy}</b>}
          </li>
        ))}
      </ul>
    </details>
  );
}

function Actions({
  picture, pictures, words, apiKey, gallery, changing, onChange, explaining, onExplain, onRefined, style, onKept,
}) {
  const [said, say] = useState("");
  const [refining, setRefining] = useState(false);
  const left = useRef(null);
  // The server ends what nobody looks at; the same picture may come as another object.
  useEffect(() => () => left.current?.abort(), [picture.prompt, picture.seed, picture.style]);
  const refine = async () => {
    const mine = new AbortController();
    left.current = mine;
    setRefining(true);
    say(words.refining);
    try {
      const body = bodyOf(picture, { style: style || undefined, variety: undefined });
      const found = await ask("/v1/refinements", apiKey, body, "POST", mine.signal);
      const row = found.data[0];
      onRefined({
        ...picture, ...row, image: row.b64_json, style: row.style ?? picture.style, made: true,
        id_kept: found.id, thumb: undefined, time: Date.now(),
      });
      say(words.refined(found.attempts.length, found.attempts[0].score, found.score));
    } catch (error) {
      say(mine.signal.aborted ? "" : error.message);
    }
    setRefining(false);
  };
  const copy = async (text) => {
    await navigator.clipboard.writeText(text);
    say(words.copied);
    setTimeout(() => say(""), 1500);
  };
  const download = async (more, ending) => {
    let image = picture.image;
    try {
      if (!picture.made) {
        image = (await ask("/v1/images/generations", apiKey, bodyOf(picture, more))).data[0].b64_json;
      }
    } catch (error) {
      say(error.message);
      return;
    }
    const bytes = Uint8Array.from(atob(image), (sign) => sign.charCodeAt(0));
    const link = document.createElement("a");
    link.href = URL.createObjectURL(new Blob([bytes]));
    link.download = `${picture.prompt.slice(0, 40).replaceAll(/[^\p{L}\p{N}]+/gu, "-")}-${picture.seed}.${ending}`;
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 10000);
    onKept();
  };
  return (
    <div class="actions">
      <div class="group">
        <button aria-pressed={changing} onClick={onChange}>{words.change}</button>
        {!picture.made && <button disabled={refining} onClick={refine}>{words.refine}</button>}
        {onExplain && <button aria-pressed={explaining} onClick={onExplain}>{words.explain}</button>}
      </div>
      <Judging picture={picture} pictures={pictures} words={words} apiKey={apiKey} say={say}
        gallery={gallery} onKept={onKept} />
      <div class="group" role="group" aria-label={words.download}>
        <span>{words.download}</span>
        <button onClick={() => download({}, "png")}>PNG</button>
        {!picture.made && <button onClick={() => download({ output_format: "svg" }, "svg")}>SVG</button>}
        {!picture.made && (
          <button onClick={() => download({ background: "transparent" }, "png")}>{words.transparent}</button>
        )}
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
    </div>
  );
}

/** The picture in the server's gallery, where it is kept from the first judgement on. */
async function keptId(picture, apiKey) {
  if (!picture.id_kept && !picture.made) {
    const found = await ask("/v1/images/generations", apiKey, bodyOf(picture));
    picture.id_kept = found.data[0].id;
  }
  if (!picture.id_kept) throw new Error("This server keeps no gallery");
  return picture.id_kept;
}

function Judging({ picture, pictures, words, apiKey, say, gallery, onKept }) {
  const [thumb, setThumb] = useState(picture.thumb ?? "none");
  const [best, setBest] = useState(false);
  useEffect(() => { setThumb(picture.thumb ?? "none"); setBest(false); }, [picture]);
  const judge = async (work) => {
    try {
      await work(await keptId(picture, apiKey));
      onKept();
    } catch (error) {
      say(error.message);
    }
  };
  const vote = (wanted) => judge(async (id) => {
    const now = thumb === wanted ? "none" : wanted;
    await ask(`/v1/gallery/${id}/feedback`, apiKey, { thumb: now });
    picture.thumb = now;
    setThumb(now);
  });
  const prefer = () => judge(async (id) => {
    for (const other of pictures.filter((each) => each !== picture)) {
      await ask(`/v1/gallery/${id}/feedback`, apiKey, { better_than: await keptId(other, apiKey) });
    }
    setBest(true);
  });
  return (
    <div class="group votes" role="group" aria-label={words.judge}>
      <button aria-pressed={thumb === "up"} aria-label={words.good} title={words.good}
        onClick={() => vote("up")}><Thumb /></button>
      <button aria-pressed={thumb === "down"} aria-label={words.bad} title={words.bad}
        onClick={() => vote("down")}><Thumb down /></button>
      {pictures.length > 1 && (
        <button aria-pressed={best} onClick={prefer}>{words.best}</button>
      )}
      {gallery && <button onClick={() => judge(async () => say(words.isKept))}>{words.keep}</button>}
    </div>
  );
}

/** A picture of the user's: read into words, or drawn otherwise. */
function Own({ words, language, apiKey, onWords, onPictures, onLike, onChange }) {
  const [file, setFile] = useState(null);
  const [said, setSaid] = useState([]);
  const [wrong, setWrong] = useState("");
  const send = async (path, more) => {
    const form = new FormData();
    form.append("image", file);
    for (const [name, value] of Object.entries(more)) form.append(name, value);
    try {
      setWrong("");
      return await ask(path, apiKey, form);
    } catch (error) {
      setWrong(error.message);
      return null;
    }
  };
  useEffect(() => {
    if (!file) return;
    send("/v1/captions", { n: 3, language }).then((found) =>
      setSaid(found ? found.data[0].captions.map((each) => each.text) : []));
  }, [file]);
  useEffect(() => {
    const over = (event) => event.preventDefault();
    const drop = (event) => {
      event.preventDefault();
      if (event.dataTransfer.files[0]) setFile(event.dataTransfer.files[0]);
    };
    addEventListener("dragover", over);
    addEventListener("drop", drop);
    return () => {
      removeEventListener("dragover", over);
      removeEventListener("drop", drop);
    };
  }, []);
  const vary = async () => {
    const found = await send("/v1/images/variations", { n: 4 });
    if (found) onPictures(found.data, said[0] ?? "");
  };
  return (
    <div class="own">
      <label class="file">{file ? file.name : words.fromPicture}
        <input type="file" accept="image/*" aria-label={words.fromPicture} onChange={(event) => setFile(event.currentTarget.files[0])} />
      </label>
      {said.map((each) => <button key={each} class="example" onClick={() => onWords(each)}>{each}</button>)}
      {file && <button onClick={vary}>{words.vary}</button>}
      {file && <button onClick={() => onChange(file)}>{words.change}</button>}
      {file && onLike && <button onClick={() => onLike(file)}>{words.findLike}</button>}
      {wrong && <span class="wrong" role="alert">{wrong}</span>}
    </div>
  );
}

function KeyPrompt({ words, onKey }) {
  const field = useRef(null);
  return (
    <form class="key" onSubmit={(event) => { event.preventDefault(); onKey(field.current.value); }}>
      <label>{words.key} <input ref={field} type="password" autocomplete="off" /></label>
      <button>{words.enter}</button>
    </form>
  );
}

function App() {
  const [language, setLanguage] = useState(preferred);
  const [theme, setTheme] = useSaved("theme", "");
  const words = WORDS[language];
  const [models, setModels] = useState([]);
  const [modelName, setModelName] = useSaved("model", "");
  const model = models.find((each) => each.id === modelName) ?? models[0] ?? null;
  const [prompt, setPrompt] = useSaved("prompt", "");
  const [style, setStyle] = useSaved("style", "");
  const [size, setSize] = useSaved("size", 256);
  const [count, setCount] = useSaved("count", 4);
  const [variety, setVariety] = useSaved("variety", 0.4);
  const [steps, setSteps] = useSaved("steps", 0);
  const [guidance, setGuidance] = useSaved("guidance", 0);
  const [seed, setSeed] = useSaved("seed", randomSeed());
  const [rewrite, setRewrite] = useSaved("rewrite", false);
  const [locked, setLocked] = useSaved("locked", false);
  const [pictures, setPictures] = useState([]);
  const [chosen, setChosen] = useState(0);
  const [state, setState] = useState("closed");
  const [busy, setBusy] = useState(false);
  const [took, setTook] = useState(null);
  const [error, setError] = useState("");
  const [history, setHistory] = useState([]);
  const [others, setOthers] = useState({}); // options of a kept picture that have no control here
  const [gallery, setGallery] = useState(false);
  const [keptNumber, setKeptNumber] = useState(0);
  const [like, setLike] = useState(null);
  const [changing, setChanging] = useState(null); // "chosen", or a file of the user's
  const [explaining, setExplaining] = useState(false);
  const live = useRef(null);
  const asked = useRef(null);

  useEffect(() => {
    document.documentElement.dataset.theme = theme;
  }, [theme]);
  useEffect(() => {
    document.documentElement.lang = language;
    localStorage.setItem("limner-language", language);
  }, [language]);

  useEffect(() => {
    kept().then(setHistory);
    const onMessage = (message) => {
      if (message.error) {
        setError(message.error.message);
        setBusy(false);
      } else if (message.done) {
        setBusy(false);
        setTook(message.milliseconds);
      } else {
        // The same bits are drawn again from the words that were drawn.
        const prompt = message.rewritten?.prompt ?? asked.current.prompt;
        const made = { ...asked.current, ...message, prompt, time: Date.now() + message.picture / 100 };
        setError("");
        setPictures((before) => {
          const after = before.slice(0, made.count);
          after[message.picture] = made;
          return after;
        });
      }
    };
    live.current = new Live(onMessage, setState);
  }, []);

  useEffect(() => {
    if (state !== "open" || model) return;
    const key = live.current.key;
    const headers = key ? { authorization: `Bearer ${key}` } : {};
    fetch("/v1/models", { headers }).then(async (answer) => {
      // Each is listed again under a name for clients of upstream's models.
      if (answer.ok) setModels((await answer.json()).data.filter((each) => !each.id.startsWith("gpt-image-")));
      else if (answer.status === 401) setState("refused");
    });
  }, [state, model]);

  const can = model?.capabilities ?? [];
  const draw = (from) => {
    if (!prompt.trim()) return;
    const given = {
      prompt, count, size, variety, model: models.length > 1 ? model.id : undefined,
      style: model && !model.styles.includes(style) ? undefined : style || undefined,
      steps: can.includes("steps") && steps ? steps : undefined,
      guidance: can.includes("guidance") && guidance ? guidance : undefined, others,
    };
    asked.current = { ...given, seed: from };
    setBusy(true);
    live.current.draw({ ...bodyOf(asked.current), n: count, ...(rewrite ? { rewrite } : {}) });
  };

  useEffect(() => {
    const wait = setTimeout(() => draw(seed), rewrite ? LONG_PAUSE : PAUSE);
    return () => clearTimeout(wait);
  }, [prompt, style, size, count, variety, steps, guidance, seed, model, others, rewrite]);

  // What stays for a moment is kept.
  useEffect(() => {
    if (busy || !pictures.length) return undefined;
    const wait = setTimeout(async () => {
      const shown = pictures[chosen] ?? pictures[0];
      if (!shown || history[0]?.image === shown.image) return;
      await keep(shown);
      setHistory((before) => [shown, ...before].slice(0, 120));
    }, 1200);
    return () => clearTimeout(wait);
  }, [busy, pictures, chosen]);

  const type = (event) => {
    setPrompt(event.currentTarget.value);
    setOthers({});
    if (!locked && !event.currentTarget.value) setSeed(randomSeed());
  };
  const use = (picture) => {
    setChanging(null);
    if (picture.made) { // it is not what its words alone draw
      setPictures([picture]);
      setChosen(0);
      scrollTo({ top: 0, behavior: "smooth" });
      return;
    }
    setPrompt(picture.prompt);
    setStyle(picture.style && picture.styled ? picture.style : "");
    setSeed(picture.seed);
    setOthers(picture.others ?? {});
    if (picture.image) {
      setPictures([picture]);
      setChosen(0);
    }
    scrollTo({ top: 0, behavior: "smooth" });
  };
  /** All that a kept picture was drawn with, so that it is drawn again bit for bit. */
  const open = (picture) => {
    const own = models.find((each) => each.hash === picture.hash) ?? model;
    const known = own.styles.includes(picture.style);
    setModelName(own.id);
    setSize(picture.size);
    setVariety(picture.variety);
    setSteps(picture.steps ?? 0);
    setGuidance(picture.guidance ?? 0);
    use(known ? picture : { ...picture, others: { ...picture.others, style: picture.style } });
  };
  const picture = pictures[chosen] ?? pictures[0];
  const changed = (made) => {
    setPictures((before) => (typeof changing === "string"
      ? before.map((each) => (each === picture ? made : each)) : [made]));
    if (typeof changing !== "string") setChosen(0);
    setChanging("chosen");
  };
  const columns = Math.ceil(Math.sqrt(Math.max(1, pictures.length || (busy ? count : 1))));

  return (
    <>
      <header>
        <h1>{words.title}</h1>
        <span class="model">{model?.id}</span>
        <button class="plain" lang={language === "en" ? "zh" : "en"}
          onClick={() => setLanguage(language === "en" ? "zh" : "en")}>{words.language}</button>
        <button class="plain" aria-label={words.theme} title={words.theme}
          onClick={() => setTheme(theme === "dark" ? "light" : theme === "light" ? "" : "dark")}>◐</button>
      </header>
      <main>
        <section class="ask">
          <label class="prompt">
            <span class="hidden">{words.hint}</span>
            <textarea rows="2" autofocus spellcheck={false} maxlength={2000} value={prompt}
              placeholder={words.hint} onInput={type} />
          </label>
          {!prompt && (
            <p class="examples">
              <span>{words.examples}:</span>
              {words.sample.map((each) => (
                <button key={each} class="example" onClick={() => setPrompt(each)}>{each}</button>
              ))}
            </p>
          )}
          <Own words={words} language={language} apiKey={live.current?.key} onWords={setPrompt}
            onLike={gallery ? setLike : null} onChange={setChanging}
            onPictures={(data, caption) => {
              setPictures(data.map((each, number) => ({
                prompt: each.revised_prompt ?? caption, seed: each.seed, style: each.style, size, made: true,
                image: each.b64_json, time: Date.now() + number / 100, id_kept: each.id,
              })));
              setChosen(0);
            }} />
          {state === "refused" && (
            <KeyPrompt words={words} onKey={(key) => { live.current.unlock(key); setState("open"); }} />
          )}
          {state === "closed" && <p class="notes" role="alert">{words.offline}</p>}
          {error && <p class="notes wrong" role="alert">{error}</p>}
        </section>
        <section class="work">
          <div class="stage">
            <div class={`grid columns-${columns}`} aria-busy={busy}>
              {pictures.map((each, number) => (
                <button key={number} class={`tile${each === picture ? " chosen" : ""}`}
                  aria-pressed={each === picture} onClick={() => setChosen(number)}>
                  <img src={`data:image/png;base64,${each.image}`} draggable={false}
                    alt={`${each.prompt} (${words.seed} ${each.seed})`} />
                </button>
              ))}
              {!pictures.length && !busy && <p class="empty">{words.empty}</p>}
              {!pictures.length && busy && Array.from({ length: count }, (_, number) => (
                <span key={number} class="blank" />
              ))}
            </div>
            <Notes picture={picture} words={words} />
            {picture && (
              <p class="facts">
                {words.seed} <code>{picture.seed}</code>
                {picture.style && <> · <code>{picture.style}</code></>}
                <span class="took"> · {busy ? words.drawing : `${took ?? ""} ${words.took}`}</span>
              </p>
            )}
            {picture && <Sources picture={picture} words={words} />}
            {picture && (
              <Actions picture={picture} pictures={pictures} words={words} apiKey={live.current?.key}
                gallery={gallery} changing={changing === "chosen"}
                onChange={() => setChanging(changing === "chosen" ? null : "chosen")}
                explaining={explaining}
                onExplain={model?.capabilities.includes("explain") && !picture.made
                  ? () => setExplaining(!explaining) : null}
                style={style} onRefined={(made) => setPictures((before) =>
                  before.map((each) => (each === picture ? made : each)))}
                onKept={() => setKeptNumber((before) => before + 1)} />
            )}
            {explaining && picture && !picture.made && (
              <Explain picture={picture} words={words} apiKey={live.current?.key}
                onClose={() => setExplaining(false)} />
            )}
            {changing && (changing !== "chosen" || picture) && (
              <Change picture={changing === "chosen" ? picture : null} words={words} model={model}
                own={changing === "chosen" ? null : changing} apiKey={live.current?.key}
                onChanged={changed} onClose={() => setChanging(null)}
                key={changing === "chosen" ? "chosen" : "own"} />
            )}
          </div>
          <form class="settings" aria-label={words.settings} onSubmit={(event) => event.preventDefault()}>
            <button type="button" class="main" onClick={() => setSeed(randomSeed())}>{words.again}</button>
            <label class="field">
              <span>{words.seed}</span>
              <span class="seed">
                <input type="number" min="0" value={seed}
                  onChange={(event) => setSeed(Math.max(0, Math.floor(Number(event.currentTarget.value) || 0)))} />
                <button type="button" aria-pressed={locked} title={locked ? words.unlock : words.lock}
                  aria-label={words.lock} onClick={() => setLocked(!locked)}><Lock closed={locked} /></button>
              </span>
            </label>
            <label class="count">
              <input type="checkbox" checked={rewrite}
                onChange={(event) => setRewrite(event.currentTarget.checked)} />
              {words.rewrite}
            </label>
            {models.length > 1 && (
              <Choice label={words.model} value={model.id} onChange={setModelName}>
                {models.map((each) => <option key={each.id}>{each.id}</option>)}
              </Choice>
            )}
            {model?.styles?.length > 0 && (
              <Choice label={words.style} value={style} onChange={setStyle}>
                <option value="">{words.any}</option>
                {model.styles.map((each) => <option key={each}>{each}</option>)}
              </Choice>
            )}
            <Choice label={words.size} value={size} onChange={(value) => setSize(Number(value))}>
              {[...new Set([...SIZES, size])].map((each) => <option key={each} value={each}>{`${each} × ${each}`}</option>)}
            </Choice>
            <fieldset class="field choices">
              <legend>{words.pictures}</legend>
              {COUNTS.map((each) => (
                <label key={each}>
                  <input type="radio" name="count" checked={count === each} onChange={() => setCount(each)} />
                  {each}
                </label>
              ))}
            </fieldset>
            <Slider label={words.variety} value={variety} min="0" max="1" step="0.1" onChange={setVariety} />
            {can.includes("steps") && (
              <Slider label={words.steps} value={steps} min="0" max="100" step="1" onChange={setSteps} />
            )}
            {can.includes("guidance") && (
              <Slider label={words.guidance} value={guidance} min="0" max="12" step="0.5" onChange={setGuidance} />
            )}
          </form>
        </section>
        {history.length > 0 && (
          <section class="history" aria-label={words.history}>
            <h2>{words.history}
              <button class="plain" onClick={() => { forget(); setHistory([]); }}>{words.clear}</button>
            </h2>
            <ul>
              {history.map((each) => (
                <li key={each.time}>
                  <button title={`${words.use}: ${each.prompt}`} onClick={() => use(each)}>
                    <img loading="lazy" alt={each.prompt} src={`data:image/png;base64,${each.image}`} />
                  </button>
                </li>
              ))}
            </ul>
          </section>
        )}
        {state !== "refused" && model && (
          <Gallery words={words} apiKey={live.current?.key} version={keptNumber} like={like}
            onLikeDone={() => setLike(null)} onKnown={setGallery} onOpen={open}
            onVary={(each) => open({
              ...each, seed: randomSeed(), variety: Math.max(each.variety, 0.4), id_kept: undefined,
            })} />
        )}
      </main>
    </>
  );
}

render(<App />, document.getElementById("app"));
