export {
  FakeDevice,
  type FakeDeviceClose,
  type FakeDeviceOptions,
  FakeDeviceRefused,
} from './fake-device.js';
export { FakeDelivery, type FakeDeliveryOf } from './fake-delivery.js';
export { FakeRequest, type FakeRequestOf } from './fake-request.js';
export { type FakeDeliverOptions, type FakeDeliveryOutcome } from './fake-sender.js';
