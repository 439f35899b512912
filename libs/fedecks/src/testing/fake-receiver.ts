import {
  FIRST_GRANT,
  type HandledPosition,
  INITIAL_RECEIVER,
  nextReceiver,
  type ReceiverEffect,
  type ReceiverEvent,
} from '../delivery/index.js';
import {
  type DeliverHead,
  type DeliveryControl,
  encodeControlAfter,
  encodeTerm,
  eventOf,
  readDelivered,
} from '../wire/internal.js';
import { type FakeAnswer, FakeDelivery } from './fake-delivery.js';
import { CONNECTION, type DeliveryLink } from './fake-sender.js';

/** The largest result that a device sends, in bytes of its term. */
const MAX_RESULT_BYTES = 16 * 1_024;

/** The deliveries of the cloud to a fake device: performs what `nextReceiver` decides, and keeps nothing. */
export class FakeReceiver {
  private state = INITIAL_RECEIVER;
  /** What waits behind the delivery that the test has in hand. */
  private readonly waiting = new Map<string, { readonly head: DeliverHead; readonly frame: Buffer }>();

  /** @param onDelivery called with a delivery when its turn in its lane has come. */
  constructor(
    private readonly link: DeliveryLink,
    private readonly onDelivery: (delivery: FakeDelivery) => void,
  ) {}

  /** Sends the resume of this side. */
  connect(): void {
    this.dispatch({ type: 'connected', connection: CONNECTION, handled: [], grant: FIRST_GRANT });
  }

  onDeliver(head: DeliverHead, frame: Buffer): void {
    this.waiting.set(keyOf(head), { head, frame });
    const epoch = head.epoch === '' ? undefined : head.epoch;
    this.dispatch({ ...head, connection: CONNECTION, epoch, bytes: frame.length });
  }

  private dispatch(event: ReceiverEvent): void {
    const { state, effects } = nextReceiver(this.state, event, performance.now());
    this.state = state;
    for (const effect of effects) this.perform(effect);
  }

  private perform(effect: ReceiverEffect): void {
    switch (effect.do) {
      case 'resume':
        return this.send({ type: 'resume', handled: effect.handled, window: effect.grant });
      case 'handle':
        return this.handle(effect);
      case 'store': {
        const { lane, epoch, seq } = effect;
        return this.dispatch({ type: 'stored', connection: CONNECTION, lane, epoch, seq });
      }
      case 'ack': {
        const { lane, seq, grant } = effect;
        return this.send({ type: 'ack', lane, seq, window: grant });
      }
      case 'nack': {
        const { lane, seq, code, text } = effect;
        return this.send({ type: 'nack', lane, seq, code, text });
      }
      case 'stop':
      case 'close':
        return this.link.breach();
    }
  }

  private handle({ lane, epoch, seq }: HandledPosition): void {
    const waiting = this.waiting.get(keyOf({ lane, seq }));
    this.waiting.delete(keyOf({ lane, seq }));
    if (!waiting) return;
    const { attempt, ageMs } = waiting.head;
    const delivered = readDelivered(waiting.frame);
    const event = delivered && eventOf(delivered.value);
    const answer = (given: FakeAnswer): void => this.answer({ lane, epoch, seq }, given);
    if (!event) return answer({ result: 'invalid', text: 'it is no event' });
    const age = ageMs < 0 ? undefined : ageMs;
    this.onDelivery(new FakeDelivery(event.name, event.payload, attempt, age, answer));
  }

  private answer(position: HandledPosition, answer: FakeAnswer): void {
    if (answer.result === 'handled') {
      const { lane, seq } = position;
      const { value } = answer;
      if (value !== undefined && encodeTerm(value).length <= MAX_RESULT_BYTES)
        this.send({ type: 'result', lane, seq, value });
    }
    this.dispatch({ type: 'finished', ...position, ...answer });
  }

  private send(control: DeliveryControl): void {
    this.link.send(encodeControlAfter(0, control));
  }
}

function keyOf({ lane, seq }: { readonly lane: number; readonly seq: number }): string {
  return `${lane}/${seq}`;
}
