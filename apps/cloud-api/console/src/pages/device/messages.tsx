import { path } from '../../api.js';
import { usePages } from '../../hooks/use-pages.js';
import { type Message } from '../../types.js';
import { Empty } from '../../ui/empty.js';
import { Check } from '../../ui/fields.js';
import { JsonText, shortJson } from '../../ui/json.js';
import { More } from '../../ui/more.js';
import { Problem } from '../../ui/problem.js';
import { Time } from '../../ui/time.js';
import { type LiveMessages, useSeam } from './live-messages.js';

/** Messages in both directions: as they come, and those of the last days. */
export function Messages({ id, live }: { readonly id: string; readonly live: LiveMessages }) {
  const kept = usePages<Message>(path`devices/${id}/messages`);
  const seam = useSeam(live, kept.reload);
  const liveItems = live.items.filter(({ since }) => seam === undefined || since >= seam);
  const keptItems = kept.items.filter(({ at }) => seam === undefined || at < seam);
  const isEmpty = liveItems.length === 0 && keptItems.length === 0 && !kept.isLoading;
  return (
    <>
      <div class="row spread">
        <h2>Messages</h2>
        <Check isChecked={live.isPaused} onChange={live.setPaused}>
          Pause
        </Check>
      </div>
      {kept.error && <Problem error={kept.error} onRetry={kept.reload} />}
      {isEmpty && <Empty title="No message yet">They appear here as they come, in both directions.</Empty>}
      <ul class="messages" aria-label="Messages">
        {liveItems.map(({ number, at, direction, body }) => (
          <MessageItem key={`live ${number}`} at={at} direction={direction} body={body} />
        ))}
        {live.hasForgotten && (
          <li>
            <button type="button" onClick={live.reopen}>
              Show those that came between
            </button>
          </li>
        )}
        {keptItems.map(({ at, direction, event, body }, index) => (
          <MessageItem
            key={`kept ${at} ${index}`}
            at={at}
            direction={direction}
            body={event === null ? body : [event, body]}
          />
        ))}
      </ul>
      <More pages={kept} />
    </>
  );
}

function MessageItem({ at, direction, body }: Pick<Message, 'at' | 'direction' | 'body'>) {
  return (
    <li>
      <details>
        <summary>
          <span class="hidden">{direction === 'up' ? 'from the device' : 'to the device'}</span>
          <span aria-hidden="true">{direction === 'up' ? '↑' : '↓'}</span> <Time at={at} />{' '}
          <span class="code">{shortJson(body)}</span>
        </summary>
        <JsonText value={body} />
      </details>
    </li>
  );
}
