import { HttpException, Injectable } from '@nestjs/common';
import { type Actor } from '../../access/actor.js';

const OF_EACH = 2;
/** Each may hold a page of rows in memory, and one of the ten connections to the database. */
const OF_ALL = 8;

/** Bounds the exports that run at the same time: 2 of each operator or key, and 8 in all. */
@Injectable()
export class ExportLimits {
  private readonly running = new Map<string, number>();
  private total = 0;

  /**
   * Counts an export that begins.
   * @returns to be called once, when it has ended.
   * @throws {HttpException} 429 when the actor has too many, 503 when there are too many in all.
   */
  begin({ kind, id = '' }: Actor): () => void {
    const who = `${kind} ${id}`;
    const own = this.running.get(who) ?? 0;
    if (own >= OF_EACH) {
      const message = `You have ${OF_EACH} exports running: wait until one has ended, or end one.`;
      throw new HttpException(message, 429);
    }
    if (this.total >= OF_ALL)
      throw new HttpException(`${OF_ALL} exports of others are running: try again later.`, 503);
    this.running.set(who, own + 1);
    this.total++;
    return () => this.end(who);
  }

  private end(who: string): void {
    const left = (this.running.get(who) ?? 0) - 1;
    if (left > 0) this.running.set(who, left);
    else this.running.delete(who);
    this.total--;
  }
}
