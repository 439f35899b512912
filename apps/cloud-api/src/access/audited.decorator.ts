import { Reflector } from '@nestjs/core';

/** What the audit keeps of a route. */
export interface AuditedAs {
  /** As `device.block`. */
  readonly action: string;
  /** The parameter of the route, or else the field of the body, that names what it is done to. */
  readonly target?: string;
  /** How the target is spelt, where it can be spelt in several ways. */
  readonly spell?: (target: string) => string;
  /** Fields of the body to keep, each cut to a size: as `name`, or `action.type` for one within another. Never secrets. */
  readonly fields?: readonly string[];
  /** The same of the answer. */
  readonly answerFields?: readonly string[];
}

/** Keeps each use of a route, with who, what and the outcome. Every route that changes something has it. */
export const Audited = Reflector.createDecorator<AuditedAs>();
