/** Atoms of Elixir's operators and special forms, which need no quotes. */
const OPERATORS: ReadonlySet<string> = new Set(
  (
    '! != !== % %{} & && &&& * ** + ++ +++ - -- --- -> . .. ..// ... / // < <- <<< <<>> <<~ <= <> <|> <~ <~> ' +
    '= == === =~ > >= >>> @ ^ ^^^ {} | |> || ||| ~> ~>> ~~~'
  ).split(' '),
);

/** An atom that Elixir writes without quotes: `ok`, `valid?`, `node@host`. */
const IDENTIFIER = /^[\p{ID_Start}_][\p{ID_Continue}@]*[?!]?$/u;
const MODULE = /^Elixir(\.[A-Z][A-Za-z0-9_]*)*$/;

const ESCAPES: Readonly<Record<string, string>> = {
  '\0': '\\0',
  '\x07': '\\a',
  '\b': '\\b',
  '\t': '\\t',
  '\n': '\\n',
  '\v': '\\v',
  '\f': '\\f',
  '\r': '\\r',
  '\x1B': '\\e',
  '\x7F': '\\d',
  '"': '\\"',
  '\\': '\\\\',
};

/** Characters that would escape, end the string, begin an interpolation, or control a terminal. */
const TO_ESCAPE = /[\p{Cc}"\\\u2028\u2029\u202A-\u202E\u2066-\u2069]|#\{/gu;

/** Whether Elixir writes a text in quotes rather than as a list of bytes. */
export function isPrintable(text: string): boolean {
  if (/[\uFFFE\uFFFF]/.test(text)) return false;
  return (text.match(/\p{Cc}/gu) ?? []).every((control) => control !== '\0' && control in ESCAPES);
}

/** A text as it appears between quotes. */
export function escapeText(text: string): string {
  return text.replace(TO_ESCAPE, (match) => {
    if (match === '#{') return '\\#{';
    const code = match.codePointAt(0) ?? 0;
    return ESCAPES[match] ?? (code < 128 ? `\\x${hex(code, 2)}` : `\\u${hex(code, 4)}`);
  });
}

/** An atom as a term: `:ok`, `:"not ok"`, `String` for a module. */
export function atomLiteral(name: string): string {
  if (name === 'Elixir') return name;
  if (MODULE.test(name)) return name.slice('Elixir.'.length);
  return `:${needsNoQuotes(name) ? name : quoted(name)}`;
}

/** An atom as a key: `ok:`, `"not ok":`. */
export function atomKey(name: string): string {
  return `${needsNoQuotes(name) ? name : quoted(name)}:`;
}

function needsNoQuotes(name: string): boolean {
  if (MODULE.test(name)) return false;
  return OPERATORS.has(name) || (IDENTIFIER.test(name) && name === name.normalize('NFC'));
}

function quoted(name: string): string {
  return `"${escapeText(name)}"`;
}

function hex(code: number, digits: number): string {
  return code.toString(16).toUpperCase().padStart(digits, '0');
}
