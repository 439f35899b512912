export {
  checkConfigured,
  checkFactory,
  checkGiven,
  checkSource,
  InvalidOptionsError,
  OptionsCheck,
} from './options-check.js';
export { unknownOption } from './unknown-option.js';
