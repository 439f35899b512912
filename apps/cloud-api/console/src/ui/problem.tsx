/** What went wrong, with a way to try again. */
export function Problem({ error, onRetry }: { readonly error: Error; readonly onRetry: () => unknown }) {
  return (
    <p role="alert" class="problem">
      {error.message}{' '}
      <button type="button" onClick={onRetry}>
        Try again
      </button>
    </p>
  );
}
