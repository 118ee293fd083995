"""Multi-LLM Router: sends each prompt to the cheapest able provider and accounts for every cent."""
