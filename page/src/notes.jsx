const LONGEST = 80; // characters of a phrase

/** The beginning of a text that would fill the page. */
export function short(text) {
  return text.length > LONGEST ? `${text.slice(0, LONGEST)}…` : text;
}

/** What a picture was drawn as where its words are not known, rewritten or flagged. */
export function Notes({ picture, words }) {
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
          <q dir="auto">{rewritten.given}</q> {words.rewrittenAs} <strong>{rewritten.prompt}</strong> ({rewritten.by})
        </span>
      )}
      {others.map((each) => (
        <span key={each.phrase}>
          {each.similarity < 0.55 && `${words.unsure} `}
          <q dir="auto">{short(each.phrase)}</q> {words.drawnAs} <strong>{each.drawn}</strong>
        </span>
      ))}
    </p>
  );
}

/** The sets of training drawings that a picture was drawn from, their licences, what is a copy. */
export function Sources({ picture, words }) {
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

/** Every picture that a refinement drew: its score, what was changed for it, and what was missed in it. */
export function Refined({ picture, words }) {
  if (!picture.refined) return null;
  const { attempts, best } = picture.refined;
  return (
    <details class="sources refined">
      <summary>{words.refined(attempts.length, attempts[0].score, attempts[best].score)}</summary>
      <ol>
        {attempts.map((each, number) => {
          const missed = each.checks.filter((check) => check.score < 0.5).map((check) => words.tried(check.wanted));
          return (
            <li key={number} aria-current={number === best ? "true" : undefined}>
              {each.score.toFixed(2)} · {words.tried(each.changed)}
              {missed.length > 0 && <> · {words.missed}{words.colon}{missed.join(", ")}</>}
              {number === best && <b> · {words.isBest}</b>}
            </li>
          );
        })}
      </ol>
    </details>
  );
}
