export {
  FakeDevice,
  type FakeDeviceClose,
  type FakeDeviceOptions,
  FakeDeviceRefused,
} from './fake-device.js';
export { FakeRequest, type FakeRequestOf } from './fake-request.js';
