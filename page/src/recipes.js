// How a picture is drawn elsewhere: in a shell, in Python, over HTTP.

const NAMES = ["style", "size", "variety", "steps", "guidance"];

function shell(text) {
  return `'${text.replaceAll("'", `'\\''`)}'`;
}

function options(picture) {
  return NAMES.filter((name) => picture[name] !== undefined && picture[name] !== null)
    .map((name) => [name, picture[name]]);
}

export function asCommand(picture) {
  const given = options(picture).map(([name, value]) =>
    `--${name} ${typeof value === "string" ? shell(value) : value}`);
  return ["limner generate", shell(picture.prompt), `--seed ${picture.seed}`, ...given].join(" ");
}

export function asPython(picture) {
  const given = options(picture).map(([name, value]) => `${name}=${JSON.stringify(value)}`);
  const all = [JSON.stringify(picture.prompt), `seed=${picture.seed}`, ...given].join(", ");
  return `import limner\n\npicture = limner.load().generate(${all})[0]\npicture.save("picture.png")\n`;
}

export function asCurl(picture) {
  const body = JSON.stringify(bodyOf(picture));
  return `curl ${new URL("v1/images/generations", document.baseURI)} -H 'content-type: application/json' -d ${shell(body)}`;
}

/** The request that draws a picture again. */
export function bodyOf(picture, more = {}) {
  const { size, ...given } = Object.fromEntries(options(picture));
  return {
    prompt: picture.prompt, seed: picture.seed, model: picture.model, ...given, ...(picture.others ?? {}),
    ...(size ? { size: `${size}x${size}` } : {}), ...more,
  };
}
