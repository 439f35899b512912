/** How many lines are kept, and how many characters: what led to now, in at most 256 KiB, as a character takes two bytes. */
export const MAX_LINES = 500;
export const MAX_CHARACTERS = 128 * 1024;
const MAX_LINE_CHARACTERS = 1_000;

/** The newest lines of the log, in memory: a device's disk is not written to for them. Lines have numbers that rise. */
export class RecentLog {
  private readonly lines: string[] = [];
  private readonly followers = new Set<(line: string) => void>();
  private characters = 0;
  private forgotten = 0;

  /** What is longer than a line may be is cut, and what would begin a line of its own is not let. */
  add(text: string): void {
    const short = text.length > MAX_LINE_CHARACTERS ? `${text.slice(0, MAX_LINE_CHARACTERS)}...` : text;
    const line = short.replaceAll(/[\p{Cc}]+/gu, ' ');
    this.lines.push(line);
    this.characters += line.length;
    while (this.lines.length > MAX_LINES || this.characters > MAX_CHARACTERS) {
      this.characters -= this.lines.shift()?.length ?? 0;
      this.forgotten++;
    }
    for (const follower of this.followers) follower(line);
  }

  /** The number of the oldest line that is kept. */
  get first(): number {
    return this.forgotten;
  }

  /** The number that the next line will have. */
  get next(): number {
    return this.forgotten + this.lines.length;
  }

  /** The line with this number; undefined if it is kept no more, or does not exist yet. */
  at(number: number): string | undefined {
    return this.lines[number - this.forgotten];
  }

  /** The newest lines, the oldest of them first. */
  newest(count: number): readonly string[] {
    return count <= 0 ? [] : this.lines.slice(-count);
  }

  /** Calls for every line from now on. @returns what ends that. */
  follow(follower: (line: string) => void): () => void {
    this.followers.add(follower);
    return () => this.followers.delete(follower);
  }
}
