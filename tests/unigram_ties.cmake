# Which of equal paths of a Unigram model wins.
aki_test(unigram_ties text base)
