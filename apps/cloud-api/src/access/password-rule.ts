import { BadRequestException } from '@nestjs/common';

const MIN_LENGTH = 12;
/** Also the most that is hashed. */
export const MAX_PASSWORD_LENGTH = 200;

/**
 * Checks a new password of an operator: 12 to 200 characters, not the name, not one character over and over.
 * @param field as the request calls it.
 * @throws {BadRequestException} saying what is wrong, without the password.
 */
export function checkNewPassword(field: string, password: string, name: string): void {
  const problem = problemOf(password, name);
  if (problem !== undefined) throw new BadRequestException([`${field} ${problem}`]);
}

function problemOf(password: string, name: string): string | undefined {
  const characters = Array.from(password);
  if (characters.length < MIN_LENGTH) return `must have at least ${MIN_LENGTH} characters`;
  if (password.length > MAX_PASSWORD_LENGTH) return `must have at most ${MAX_PASSWORD_LENGTH} characters`;
  if (password.trim().toLowerCase() === name) return 'must not be the name';
  return new Set(characters).size === 1 ? 'must not be one character over and over' : undefined;
}
