import { type ComponentChildren } from 'preact';
import { useLayoutEffect, useRef, useState } from 'preact/hooks';
import { useStored } from '../hooks/use-stored.js';

/** What is typed in a field, by its name. */
export type Fields = (name: string) => string;

interface Props {
  /** What its button says. */
  readonly action: string;
  readonly class?: string;
  /** For screen readers, where no heading says what it is. */
  readonly label?: string;
  /** Under this name what is typed is kept over a reload, except passwords, until the form is reset. */
  readonly keptAs?: string;
  readonly children: ComponentChildren;
  readonly onSubmit: (fields: Fields, form: HTMLFormElement) => Promise<void>;
}

/** A form that says what went wrong, and cannot be sent twice at once. */
export function Form({ action, class: name, label, keptAs, children, onSubmit }: Props) {
  const draft = useDraft(keptAs);
  const [problem, setProblem] = useState('');
  const [isBusy, setBusy] = useState(false);
  const submit = async (event: SubmitEvent): Promise<void> => {
    event.preventDefault();
    const form = event.currentTarget as HTMLFormElement;
    setBusy(true);
    try {
      await onSubmit(fieldsOf(form), form);
      setProblem('');
    } catch (error) {
      setProblem((error as Error).message);
    } finally {
      setBusy(false);
    }
  };
  return (
    <form class={name} aria-label={label} {...draft} onSubmit={(event) => void submit(event)}>
      {children}
      <p role="alert" class="problem">
        {problem}
      </p>
      <p>
        <button type="submit" class="primary" disabled={isBusy}>
          {action}
        </button>
      </p>
    </form>
  );
}

/** Keeps what is typed in the fields of a form that have names. @returns its attributes. */
function useDraft(name: string | undefined) {
  const form = useRef<HTMLFormElement>(null);
  const [draft, setDraft] = useStored<Readonly<Record<string, string>>>(`form ${name}`);
  useLayoutEffect(() => {
    const fields = [...(form.current?.elements ?? [])].filter(isKept);
    for (const field of fields) field.value = draft?.[field.name] ?? field.value;
  }, []);
  if (name === undefined) return {};
  const keep = ({ currentTarget }: Event): void => {
    const fields = [...(currentTarget as HTMLFormElement).elements].filter(isKept);
    setDraft(Object.fromEntries(fields.map((field) => [field.name, field.value])));
  };
  return { ref: form, onInput: keep, onReset: () => setDraft(undefined) };
}

function isKept(element: Element): element is HTMLInputElement | HTMLTextAreaElement | HTMLSelectElement {
  return (
    (element instanceof HTMLInputElement && element.type !== 'password') ||
    element instanceof HTMLTextAreaElement ||
    element instanceof HTMLSelectElement
  );
}

/** What is typed in a form now. */
export function fieldsOf(form: HTMLFormElement): Fields {
  const data = new FormData(form);
  return (name) => {
    const value = data.get(name);
    return typeof value === 'string' ? value : '';
  };
}

/** What is between separators. */
export function listIn(text: string, separator: ',' | '\n'): readonly string[] {
  const each = text.split(separator).map((part) => part.trim());
  return each.filter((part) => part !== '');
}

/** @throws {Error} for people, who have typed it. */
export function jsonIn(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (error) {
    throw new Error(`This is not JSON: ${(error as Error).message}`, { cause: error });
  }
}
