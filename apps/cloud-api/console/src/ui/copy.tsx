import { tell, tellError } from './notices.js';

/** A button that copies a text. */
export function Copy({ text }: { readonly text: string }) {
  return (
    <button type="button" onClick={() => void copy(text)}>
      Copy
    </button>
  );
}

async function copy(text: string): Promise<void> {
  try {
    await navigator.clipboard.writeText(text);
    tell('Copied.');
  } catch {
    // Without HTTPS there is no clipboard.
    tellError(new Error('The browser does not let this page copy: select the text and copy it.'));
  }
}
