/** Slurs against who people are, which no shipped model is to learn: found by a published list. */
import list from "@dsojevic/profanity-list/en.json" with { type: "json" };

/**
 * Entries of @dsojevic/profanity-list 1.0.0 (MIT) that it tags racial, lgbtq or religious. Oaths
 * ("hell", "god damn") carry the last tag as well; they insult nobody.
 */
const TAGS = ["racial", "lgbtq", "religious"];
const OATHS = ["damn", "hell", "christ", "jesus", "jesus-christ", "god-damn"];

/** Stems of whole families of spellings and compounds; the list has none on disability. */
const STEMS =
  /n[i1!]+gg|n[i1!]g+(?:a|er|let)|\bnigs?\b|\bneg+ro|f[a@4]g+[oe@]?t|\bf[a@]gs?\b|ret+ar+d|\btards?\b|\btran+[yi]|\bk[iy]kes?\b|chink|\bspi[ck]s?\b|\bcracker|redsk[i1]n|\bhomos?\b|\bqueers?\b|white ?trash|\bmonke?ys?\b|\bspaz|\bmong(?:s|oloid)?\b|crip+le|\bmuzz(?:ie|y|rat)|\bshe?-?males?\b|\bdykes?\b/iu;

/** Groups by name: what is said of them in hateful comments should not be learned either. */
const GROUPS =
  /\b(?:jew|muslim|moslem|islam|christian|catholic|hindu|gay|lesbian|bisexual|transgender|trans|mexican|hispanic|latino|arab|asian|african|chinese|indian|immigrant|refugee|illegal|white|black|disabled|autistic|autism)(?:s|es|ic|ist|ism|ish)?\b/iu;

const phrases = list
  .filter(({ id, tags }) => tags.some((tag) => TAGS.includes(tag)) && !OATHS.includes(id))
  .flatMap(({ match }) => match.split("|"))
  .map((phrase) => phrase.replaceAll(/[.+?^$()[\]{}\\]/g, "\\$&"))
  // A star in the list lets the letter before it repeat.
  .map((phrase) => phrase.replaceAll("*", "+"));
const LISTED = new RegExp(`\\b(?:${phrases.join("|")})(?:s|es|z|ed)?\\b`, "iu");

/** Whether a text holds a slur against who people are. */
export function hasIdentitySlur(text: string): boolean {
  return LISTED.test(text) || STEMS.test(text);
}

/** Whether a text speaks of people by origin, faith, orientation or disability. */
export function namesGroup(text: string): boolean {
  return GROUPS.test(text);
}
