/** Max auto-replies for one form in one hour of the clock. */
export const repliesPerForm = 100;

/** Max auto-replies that posts from one client network cause in one hour of the clock. */
export const repliesPerNetwork = 10;

/** Max auto-replies to one domain in one hour of the clock, unless it is a large provider's. */
export const repliesPerDomain = 20;
