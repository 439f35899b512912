import { BadRequestException, Catch, type ExceptionFilter } from '@nestjs/common';
import { type Term } from '@fedecks/nest/wire';

/** Answers a command whose data does not pass validation: `{ event: 'invalid', data: { problems } }`. */
@Catch(BadRequestException)
export class InvalidCommandFilter implements ExceptionFilter<BadRequestException> {
  catch(exception: BadRequestException): Term {
    const { message } = exception.getResponse() as { message: string | string[] };
    return { event: 'invalid', data: { problems: [message].flat() } };
  }
}
