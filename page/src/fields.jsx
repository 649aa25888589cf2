export function Choice({ label, value, onChange, children }) {
  return (
    <label class="field">
      <span>{label}</span>
      <select value={value ?? ""} onChange={(event) => onChange(event.currentTarget.value)}>
        {children}
      </select>
    </label>
  );
}

export function Slider({ label, value, onChange, ...range }) {
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
