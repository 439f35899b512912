import { liveCounts } from './live.js';

/** Says whether what is shown is live. Nothing on a page that is not. */
export function LiveState() {
  const { wanted, open } = liveCounts.value;
  if (wanted === 0) return null;
  const isLive = open >= wanted;
  return (
    <span role="status" class={isLive ? 'state online' : 'state flapping'}>
      {isLive ? 'Live' : 'Not live: asking every few seconds'}
    </span>
  );
}
