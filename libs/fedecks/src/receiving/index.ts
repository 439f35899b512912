export { DeliverySink } from './delivery-sink.js';
export { type DeliveryOutcome, DeliveryTurn } from './delivery-turn.js';
export { type DeliveryPeer, DeviceReceiver, type ReceiverOwner } from './device-receiver.js';
export { inTime, insist } from './insist.js';
