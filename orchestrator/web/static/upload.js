// Puts a file's text where it would be typed, so that what is sent is what is seen. Without this script it is pasted.
"use strict";
{
  const MOST_BYTES = 1 << 20;
  const file = document.getElementById("file");
  const text = document.getElementById("csv");
  const name = document.getElementById("name");
  document.getElementById("from-file").hidden = false;
  file.addEventListener("change", async () => {
    const [chosen] = file.files;
    if (chosen === undefined) return;
    file.setCustomValidity(chosen.size > MOST_BYTES ? "This file is too large to be a list of kinds of device." : "");
    if (!file.reportValidity()) return;
    text.value = await chosen.text();
    if (name.value === "") name.value = chosen.name.toLowerCase().replace(/\.[a-z]+$/, "").replace(/[^a-z0-9._-]+/g, "-");
  });
}
