// Asks for the token where the collector has one.

import { signIn } from "./api";
import { element, write } from "./dom";
import { t } from "./i18n";

/** Shows the form in place of everything; `then` runs when the token was right. `ended`: there was
 *  a session. */
export function askForToken(main: HTMLElement, ended: boolean, then: () => void): void {
  const input = element("input", {
    type: "password",
    id: "token",
    autocomplete: "current-password",
    required: "",
  });
  const problem = element("p", { role: "alert", class: "bad" });
  const form = element(
    "form",
    { id: "signin" },
    element("h2", {}, t("signIn")),
    ...(ended ? [element("p", { role: "status" }, t("sessionEnded"))] : []),
    element("label", { for: "token" }, t("token")),
    input,
    element("button", { type: "submit" }, t("signIn")),
    problem,
  );
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    signIn(input.value)
      .then((refused) => {
        if (refused === null) {
          form.remove();
          then();
        } else write(problem, refused);
      })
      .catch((error: unknown) => write(problem, String(error)));
  });
  main.replaceChildren(form);
  input.focus();
}
