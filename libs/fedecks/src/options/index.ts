export { InvalidOptionsError, OptionsCheck } from './options-check.js';
