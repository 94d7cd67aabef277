/** The part of an environment that some room was given; `process.env` is one. */
export type Environment = Readonly<Record<string, string | undefined>>;
