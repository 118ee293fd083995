# The dashboard's page in a real browser.

CHROMIUM := /usr/bin/chromium
AS_ROOT := $(if $(filter 0,$(shell id -u)),,sudo)
URL ?= http://127.0.0.1:8080/

$(CHROMIUM):
	@echo "Installing Debian's chromium (about 100 MB, a minute; asks for sudo when you are not root) ..."
	@$(AS_ROOT) apt-get update -qq
	@$(AS_ROOT) env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends chromium fonts-dejavu-core

.PHONY: chromium
chromium: $(CHROMIUM)  ## Install the browser that the page is tested in: Debian's or Ubuntu's chromium

.PHONY: test-browser
test-browser: setup chromium  ## The page in a real headless Chromium; needs Debian's chromium
	@$(PY) -m pytest tests/browser

.PHONY: screenshot
screenshot: setup chromium  ## Take docs/dashboard.png of the page at URL; needs Debian's chromium
	@$(PY) infra/browser/screenshot.py $(URL) docs/dashboard.png
