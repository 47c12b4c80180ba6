"""The whole stack on this machine: MiniStack, the real ``sam build`` and ``sam deploy``.

``python -m local`` is what ``make demo``, ``make local-up`` and their like call; the end-to-end
tests use ``local.stack.run_stack``.  Where MiniStack differs from AWS, the template stays right
for AWS, and ``local.differences`` makes up for it.
"""
