import { useEffect, useState } from "preact/hooks";
import { ask } from "./api.js";
import { explained } from "./errors.js";
import { bodyOf } from "./recipes.js";

const PAUSE = 600; // milliseconds for which a picture stays before it is explained
const png = (base64) => `data:image/png;base64,${base64}`;

/** What each word of a picture's prompt did: where it is, and the picture without it. */
export function Explain({ picture, words, apiKey, onClose }) {
  const [found, setFound] = useState(null);
  const [wrong, setWrong] = useState(null);

  useEffect(() => {
    const left = new AbortController();
    setFound(null);
    setWrong(null);
    const wait = setTimeout(() => ask("v1/explanations", apiKey, bodyOf(picture), "POST", left.signal).then(
      setFound,
      (error) => left.signal.aborted || setWrong(error),
    ), PAUSE);
    return () => { // the server ends what nobody looks at
      clearTimeout(wait);
      left.abort();
    };
  }, [picture, apiKey]);

  return (
    <section class="explain" aria-label={words.explain} aria-busy={!found && !wrong}>
      <div class="words">
        {found?.words.map((word) => (
          <figure key={word.map}>
            <figcaption>
              <b>{word.text}</b>
              {word.drawn_from && <> · {words.drawnAs} {word.drawn_from}</>}
            </figcaption>
            <img src={png(found.files[word.map])} alt={`${words.whereIs}: ${word.text}`} />
            {word.without && (word.without.changes_nothing
              ? <p class="same">{words.changesNothing}</p>
              : <>
                <img class="without" src={png(found.files[word.without.file])}
                  alt={`${words.without}: ${word.text}`} />
                <p>{words.without}</p>
              </>)}
          </figure>
        ))}
      </div>
      {!found && !wrong && <p role="status">{words.explaining}</p>}
      {wrong && <p class="wrong" role="alert">{explained(wrong, words)}</p>}
      <button type="button" onClick={onClose}>{words.close}</button>
    </section>
  );
}
