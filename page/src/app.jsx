import { render } from "preact";
import { useEffect, useRef, useState } from "preact/hooks";
import { Actions } from "./actions.jsx";
import { Change } from "./change.jsx";
import { explained } from "./errors.js";
import { Explain } from "./explain.jsx";
import { Choice, Slider } from "./fields.jsx";
import { Gallery } from "./gallery.jsx";
import { forget, keep, kept } from "./history.js";
import { KeyPrompt } from "./key.jsx";
import { Live } from "./live.js";
import { Notes, Refined, short, Sources } from "./notes.jsx";
import { Own } from "./own.jsx";
import { bodyOf } from "./recipes.js";
import { useSaved } from "./saved.js";
import { preferred, WORDS } from "./words.js";

const PAUSE = 40; // milliseconds without a key before a request is sent
const LONG_PAUSE = 700; // where a language model may be asked first, or many pictures are drawn
const LONGEST = 1000; // characters of a prompt; no more are read
const COUNTS = [1, 4, 9];
const CANDIDATES = { 1: 8, 4: 12, 9: 27 }; // that so many are chosen among
const THEMES = { "": "dark", dark: "light", light: "" };
const SIZES = [256, 512, 1024];

function randomSeed() {
  return crypto.getRandomValues(new Uint32Array(1))[0];
}

/** What opened a panel has the focus again when that is closed. */
function focusOn(id) {
  document.getElementById(id)?.focus();
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
  const [choose, setChoose] = useSaved("choose", "");
  const [locked, setLocked] = useSaved("locked", false);
  const [pictures, setPictures] = useState([]);
  const [chosen, setChosen] = useState(0);
  const [state, setState] = useState("closed");
  const [busy, setBusy] = useState(false);
  const [took, setTook] = useState(null);
  const [refused, setRefused] = useState(false);
  const [error, setError] = useState(null);
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
        setError(message.error);
        setBusy(false);
      } else if (message.done) {
        setBusy(false);
        setTook(message.milliseconds);
        setRefused(false);
      } else {
        // The same bits are drawn again from the words that were drawn.
        const prompt = message.rewritten?.prompt ?? asked.current.prompt;
        const made = { ...asked.current, ...message, prompt, time: Date.now() + message.picture / 100 };
        setError(null);
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
    fetch("v1/models", { headers }).then(async (answer) => {
      // Each is listed again under a name for clients of upstream's models.
      if (answer.ok) setModels((await answer.json()).data.filter((each) => !each.id.startsWith("gpt-image-")));
      else if (answer.status === 401) setState("refused");
    });
  }, [state, model]);

  const can = model?.capabilities ?? [];
  const chooses = ["", "best", ...(model?.prefer ? ["liked"] : [])];
  const choosing = chooses.includes(choose) ? choose : "";
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
    live.current.draw({
      ...bodyOf(asked.current), n: count, ...(rewrite ? { rewrite } : {}),
      ...(choosing ? { best_of: CANDIDATES[count], prefer: choosing === "liked" } : {}),
    });
  };

  useEffect(() => {
    const wait = setTimeout(() => draw(seed), rewrite || choosing ? LONG_PAUSE : PAUSE);
    return () => clearTimeout(wait);
  }, [prompt, style, size, count, variety, steps, guidance, seed, model, others, rewrite, choosing]);

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
  const onKey = (event) => { // a prompt is one line; Shift and Enter begins another
    if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
    event.preventDefault();
    draw(seed);
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
        <button class="plain" aria-label={words.themes[theme]} title={words.themes[theme]}
          onClick={() => setTheme(THEMES[theme])}>{theme === "dark" ? "●" : theme === "light" ? "○" : "◐"}</button>
      </header>
      <main>
        <section class="ask">
          <label class="prompt">
            <span class="hidden">{words.hint}</span>
            <textarea rows="2" autofocus dir="auto" spellcheck={false} maxlength={LONGEST} value={prompt}
              placeholder={words.hint} onInput={type} onKeyDown={onKey} />
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
            onLeft={() => {
              setLike(null);
              setChanging((now) => (now === "chosen" ? now : null));
            }}
            onPictures={(data, caption) => {
              setPictures(data.map((each, number) => ({
                prompt: each.revised_prompt ?? caption, seed: each.seed, style: each.style, size, made: true,
                image: each.b64_json, time: Date.now() + number / 100, id_kept: each.id,
              })));
              setChosen(0);
            }} />
          {state === "refused" && (
            <KeyPrompt words={words} given={refused}
              onKey={(key) => { live.current.unlock(key); setRefused(true); setState("open"); }} />
          )}
          {state === "closed" && <p class="notes" role="alert">{words.offline}</p>}
          {prompt.length >= LONGEST && <p class="notes" role="status">{words.longest(LONGEST)}</p>}
          {error && <p class="notes wrong" role="alert">{explained(error, words)}</p>}
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
            <p class="hidden" role="status">{!busy && pictures.length > 0 && words.drawn(pictures.length)}</p>
            <Notes picture={picture} words={words} />
            {picture && (
              <p class="facts">
                {picture.made && picture.prompt !== prompt && <><q dir="auto">{short(picture.prompt)}</q> · </>}
                {words.seed} <code>{picture.seed}</code>
                {picture.style && <> · <code>{picture.style}</code></>}
                {picture.score !== undefined && <> · {words.score} {picture.score.toFixed(2)}</>}
                {busy ? <> · {words.drawing}</> : took !== null && !picture.made && <> · {took} {words.took}</>}
              </p>
            )}
            {picture && <Sources picture={picture} words={words} />}
            {picture && <Refined picture={picture} words={words} />}
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
                onClose={() => { setExplaining(false); focusOn("do-explain"); }} />
            )}
            {changing && (changing !== "chosen" || picture) && (
              <Change picture={changing === "chosen" ? picture : null} words={words} model={model}
                own={changing === "chosen" ? null : changing} apiKey={live.current?.key}
                onChanged={changed} onClose={() => { setChanging(null); focusOn("do-change"); }}
                key={changing === "chosen" ? "chosen" : "own"} />
            )}
          </div>
          <form class="settings" aria-label={words.settings} onSubmit={(event) => event.preventDefault()}>
            <button type="button" class="main" disabled={!prompt.trim()} onClick={() => setSeed(randomSeed())}>{words.again}</button>
            <div class="field">
              <label for="seed">{words.seed}</label>
              <span class="seed">
                <input id="seed" type="number" min="0" value={seed}
                  onChange={(event) => setSeed(Math.max(0, Math.floor(Number(event.currentTarget.value) || 0)))} />
                <button type="button" aria-pressed={locked} title={locked ? words.unlock : words.lock}
                  aria-label={words.lock} onClick={() => setLocked(!locked)}><Lock closed={locked} /></button>
              </span>
            </div>
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
            <Choice label={words.choose} value={choosing} onChange={setChoose}>
              {chooses.map((each) => <option key={each} value={each}>{words.chooses[each]}</option>)}
            </Choice>
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
              <button class="plain" onClick={() => {
                if (!confirm(words.sureHistory)) return;
                forget();
                setHistory([]);
              }}>{words.clear}</button>
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
        {state !== "refused" && model?.gallery && (
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
