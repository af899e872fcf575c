# What the jobs of CI need besides the other words: docs/ci.md
.PHONY: comment

comment: $(INSTALLED) # a plan, told in the request that asks for it: REPORT=.build/plan.txt
	@exec $(BIN)/python infra/comment.py $(REPORT)
