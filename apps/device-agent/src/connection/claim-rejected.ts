/** The cloud does not say why: that would help whoever guesses. */
export const CLAIM_REJECTED =
  'The cloud rejects the claim code: it is mistyped, has expired, is for another device id, or was used already. ' +
  'Check code and device id, or ask for a new code.';
