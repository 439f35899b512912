export { claimAfter, type DeliveryClaim, isDeliveryClaim, isHandled, withHandled } from './claim.js';
export {
  nextReceiver,
  INITIAL_RECEIVER,
  type ReceiverEffect,
  type ReceiverEvent,
  type ReceiverState,
} from './receiver.js';
export { nextSender, openSender, type SenderEffect, type SenderEvent, type SenderState } from './sender.js';
export { type FoundLane } from './sender-lane.js';
export { type Range } from './numbers.js';
export { isLane, LANES, type HandledPosition, type Position } from './terms.js';
export { FIRST_GRANT, type Window } from './window.js';
export {
  cancel,
  type DeviceQueue,
  EMPTY_QUEUE,
  type Ending,
  enqueue,
  expire,
  type FinalDelivery,
  type FinalState,
  find,
  isEmpty,
  type LanePosition,
  markSent,
  MAX_WAITING,
  type NewDelivery,
  type QueueChange,
  type QueueEntry,
  type QueueLane,
  settle,
  type WaitingDelivery,
} from './queue.js';
