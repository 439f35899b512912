import { type ComponentChildren } from 'preact';
import { Dialog } from './dialog.js';

interface Props {
  readonly title: string;
  /** What the button that goes on says. */
  readonly action: string;
  readonly children: ComponentChildren;
  readonly onConfirm: () => void;
  readonly onCancel: () => void;
}

/** Asks before something that hits many, or cannot be undone. */
export function Confirm({ title, action, children, onConfirm, onCancel }: Props) {
  return (
    <Dialog title={title} onClose={onCancel}>
      <p>{children}</p>
      <p class="row">
        <button type="button" class="danger" onClick={onConfirm}>
          {action}
        </button>
        <button type="button" autofocus onClick={onCancel}>
          Cancel
        </button>
      </p>
    </Dialog>
  );
}
