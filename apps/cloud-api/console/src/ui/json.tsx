/** JSON as text: what a device says is never markup. */
export function JsonText({ value }: { readonly value: unknown }) {
  return <pre>{JSON.stringify(value, null, 2)}</pre>;
}

/** In one line, cut to a length. */
export function shortJson(value: unknown, length = 200): string {
  const text = JSON.stringify(value ?? null);
  return text.length > length ? `${text.slice(0, length)}…` : text;
}
