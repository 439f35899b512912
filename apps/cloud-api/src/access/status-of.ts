import { HttpException } from '@nestjs/common';
import { isUnreachable } from '../database/database-errors.js';

/** The HTTP status with which the API answers an error. */
export function statusOf(error: unknown): number {
  if (error instanceof HttpException) return error.getStatus();
  // As `DatabaseFilter` answers.
  return isUnreachable(error) ? 503 : 500;
}
