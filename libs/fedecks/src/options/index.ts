export { checkGiven, InvalidOptionsError, OptionsCheck } from './options-check.js';
