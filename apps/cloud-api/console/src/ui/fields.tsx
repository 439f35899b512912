import { type ComponentChildren } from 'preact';

interface Field {
  readonly label: string;
  readonly value: string;
  readonly onChange: (value: string) => void;
}

/** A value and what it is called. */
export type Option = readonly [value: string, text: string];

interface ChoiceProps extends Partial<Field> {
  readonly label: string;
  readonly options: readonly Option[];
  /** For screen readers only: what is beside it explains it. */
  readonly isLabelHidden?: boolean;
  /** In a form. */
  readonly name?: string;
}

/** One of several values. */
export function Choice({ label, options, isLabelHidden, name, value, onChange }: ChoiceProps) {
  return (
    <label>
      <span class={isLabelHidden ? 'hidden' : undefined}>{label}</span>
      <select name={name} value={value} onChange={({ currentTarget }) => onChange?.(currentTarget.value)}>
        {options.map(([each, text]) => (
          <option key={each} value={each}>
            {text}
          </option>
        ))}
      </select>
    </label>
  );
}

interface TextProps extends Field {
  readonly type?: 'search' | 'text' | 'datetime-local';
  readonly isRequired?: boolean;
  readonly isReadOnly?: boolean;
}

/** A line of text. */
export function TextField({ label, value, onChange, type = 'text', isRequired, isReadOnly }: TextProps) {
  return (
    <label>
      {label}
      <input
        type={type}
        autocomplete="off"
        required={isRequired}
        readOnly={isReadOnly}
        value={value}
        onInput={({ currentTarget }) => onChange(currentTarget.value)}
      />
    </label>
  );
}

interface LinesProps extends Field {
  readonly rows: number;
  readonly isReadOnly?: boolean;
  /** JSON, not prose. */
  readonly isCode?: boolean;
}

/** Several lines of text. */
export function LinesField({ label, value, onChange, rows, isReadOnly, isCode }: LinesProps) {
  return (
    <label>
      {label}
      <textarea
        rows={rows}
        readOnly={isReadOnly}
        class={isCode ? 'code' : undefined}
        spellcheck={!isCode}
        value={value}
        onInput={({ currentTarget }) => onChange(currentTarget.value)}
      />
    </label>
  );
}

interface CheckProps {
  readonly isChecked: boolean;
  readonly onChange: (isChecked: boolean) => void;
  readonly children: ComponentChildren;
}

/** Something that is or is not. */
export function Check({ isChecked, onChange, children }: CheckProps) {
  return (
    <label class="inline">
      <input
        type="checkbox"
        checked={isChecked}
        onChange={({ currentTarget }) => onChange(currentTarget.checked)}
      />
      {children}
    </label>
  );
}
