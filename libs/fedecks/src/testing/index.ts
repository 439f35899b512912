export {
  FakeDevice,
  type FakeDeviceClose,
  type FakeDeviceOptions,
  FakeDeviceRefused,
} from './fake-device.js';
