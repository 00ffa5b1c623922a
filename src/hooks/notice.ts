/** What a chat or push service shows: plain text, which each preset escapes for its service. */
export interface Notice {
  /** One line. */
  readonly title: string;
  readonly lines: readonly string[];
  /** Whether a person should look at once. */
  readonly urgent?: boolean;
}
