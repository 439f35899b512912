/** How many lines are kept: what led to now, in at most about a megabyte. */
export const MAX_LINES = 500;
const MAX_LINE_CHARACTERS = 1_000;

/** The newest lines of the log, in memory: a device's disk is not written to for them. */
export class RecentLog {
  private readonly lines: string[] = [];
  private readonly followers = new Set<(line: string) => void>();

  /** What is longer than a line may be is cut, and what would begin a line of its own is not let. */
  add(text: string): void {
    const short = text.length > MAX_LINE_CHARACTERS ? `${text.slice(0, MAX_LINE_CHARACTERS)}...` : text;
    const line = short.replaceAll(/[\p{Cc}]+/gu, ' ');
    this.lines.push(line);
    if (this.lines.length > MAX_LINES) this.lines.shift();
    for (const follower of this.followers) follower(line);
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
