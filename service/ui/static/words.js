/* What error codes mean to somebody who only wanted to know what is in an image. */

const WORDS = {
  unidentified: "This is not an image that can be read.",
  truncated: "This image file is damaged or not complete.",
  too_many_pixels: "This image has too many pixels.",
  body_too_large: "This file is too large.",
  media_type: "This kind of image is not accepted. JPEG, PNG and WebP are.",
  slow_client: "The image took too long to arrive.",
  unknown_model: "This model or version is not served any more.",
  unauthorized: "This service asks for an API key.",
  forbidden: "This API key may not do that.",
  rate_limited: "This API key has made too many requests.",
  client_limit: "You have too many images waiting.",
  queue_full: "The service is busy.",
  not_ready: "The service is not ready.",
  deadline: "The service was too busy to answer in time.",
  internal: "Something went wrong in the service.",
};

export class Fault extends Error {
  constructor(words, detail, code) {
    super(words);
    this.detail = detail;
    this.code = code;
  }
}

/* The fault that an answer other than 200 means. */
export async function faultOf(answer) {
  let said = {};
  try {
    said = await answer.json();
  } catch {
    // a proxy between may say no in HTML
  }
  const wait = answer.headers.get("retry-after");
  const again = wait ? ` Try again in ${wait} ${wait === "1" ? "second" : "seconds"}.` : "";
  const words = WORDS[said.code] ?? `The service answered ${answer.status}.`;
  return new Fault(words + again, said.error ?? "", said.code);
}

export const UNREACHABLE = "The service cannot be reached.";
